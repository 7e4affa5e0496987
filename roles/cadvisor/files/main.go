// SPDX-License-Identifier: MIT

// cAdvisor's collectors behind a small HTTP server: figures of every container for people (a page), for programs (JSON)
// and for Prometheus. The collectors are the released modules of cAdvisor. Its own command is none of them (it has no
// version of its own in the module proxy), so this is the command; its options bear the names that cAdvisor's have.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path"
	"sort"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/cadvisor/container/docker"
	_ "github.com/google/cadvisor/container/docker/install"
	"github.com/google/cadvisor/lib/cache/memory"
	"github.com/google/cadvisor/lib/container"
	_ "github.com/google/cadvisor/lib/fs/btrfs/install"
	_ "github.com/google/cadvisor/lib/fs/nfs/install"
	_ "github.com/google/cadvisor/lib/fs/overlay/install"
	_ "github.com/google/cadvisor/lib/fs/tmpfs/install"
	_ "github.com/google/cadvisor/lib/fs/vfs/install"
	_ "github.com/google/cadvisor/lib/fs/zfs/install"
	"github.com/google/cadvisor/lib/manager"
	"github.com/google/cadvisor/lib/metrics"
	"github.com/google/cadvisor/lib/model"
	"github.com/google/cadvisor/lib/utils/sysfs"
	"github.com/google/cadvisor/lib/version"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/utils/clock"
)

const (
	// The engine is asked this often, and the program ends when it has not answered for so long: the engine restarts
	// the container, which thereby gets the socket of an engine that has been started anew.
	engineInterval = 10 * time.Second
	enginePatience = 5 * time.Minute
	stopTimeout    = 3 * time.Second
)

var (
	listenAddress  = flag.String("listen_ip", "", "address to listen on; empty for all")
	port           = flag.Int("port", 8080, "port to listen on")
	prefix         = flag.String("url_base_prefix", "", "path below which everything is served, without a slash at its end")
	storage        = flag.Duration("storage_duration", 2*time.Minute, "how long figures are kept")
	storeLabels    = flag.Bool("store_container_labels", true, "turn all labels of containers into labels of metrics")
	labelAllowlist = flag.String("whitelisted_container_labels", "", "labels (with commas) to turn into labels of metrics all the same")
	disabled       = container.MetricSet{}
)

// provider tells the metrics about the engine too: the library leaves that to the program.
type provider struct {
	manager.Manager
	engineVersion func() string
}

func (p provider) GetVersionInfo() (*model.VersionInfo, error) {
	found, err := p.Manager.GetVersionInfo()
	if err != nil {
		return nil, err
	}
	answer := *found
	// The library's map is made before the linker's value is known to it.
	answer.CadvisorVersion, answer.CadvisorRevision = version.Version, version.Revision
	answer.DockerVersion = p.engineVersion()
	return &answer, nil
}

// watchEngine keeps asking for the engine's version; "" while it does not answer.
func watchEngine(gone chan<- error) func() string {
	var known atomic.Value
	known.Store("")
	ask := func() bool {
		engine, err := docker.VersionString()
		if err != nil {
			engine = ""
		}
		known.Store(engine)
		return err == nil
	}
	ask()
	go func() {
		seen := time.Now()
		for range time.Tick(engineInterval) {
			if ask() {
				seen = time.Now()
			} else if time.Since(seen) > enginePatience {
				gone <- errors.New("the engine does not answer")
			}
		}
	}()
	return func() string { return known.Load().(string) }
}

func labels() metrics.ContainerLabelsFunc {
	if *storeLabels {
		return metrics.DefaultContainerLabels
	}
	allowed := []string{}
	if *labelAllowlist != "" {
		allowed = strings.Split(*labelAllowlist, ",")
	}
	return metrics.BaseContainerLabels(allowed)
}

func metricsHandler(source provider, included container.MetricSet) http.Handler {
	registry := prometheus.NewRegistry()
	options := model.RequestOptions{IdType: model.TypeName, Count: 1, Recursive: true}
	registry.MustRegister(
		metrics.NewPrometheusCollector(source, labels(), included, clock.RealClock{}, options),
		metrics.NewPrometheusMachineCollector(source, included),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// answer writes a value as JSON, or says that there is nothing of that name.
func answer(writer http.ResponseWriter, value any, err error) {
	if err != nil {
		http.Error(writer, err.Error(), http.StatusNotFound)
		return
	}
	writer.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(writer).Encode(value); err != nil {
		log.Print(err)
	}
}

// serveAPI answers the questions of cAdvisor's API 1.3 that concern containers and the machine.
func serveAPI(mux *http.ServeMux, base string, source provider) {
	request := func() *model.ContainerInfoRequest {
		defaults := model.DefaultContainerInfoRequest()
		return &defaults
	}
	mux.HandleFunc("GET "+base+"/machine", func(w http.ResponseWriter, _ *http.Request) {
		found, err := source.GetMachineInfo()
		answer(w, found, err)
	})
	mux.HandleFunc("GET "+base+"/docker/{name...}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		if name == "" {
			found, err := source.AllDockerContainers(request())
			answer(w, found, err)
			return
		}
		found, err := source.DockerContainer(name, request())
		answer(w, map[string]model.ContainerInfo{found.Name: found}, err)
	})
	mux.HandleFunc("GET "+base+"/containers/{name...}", func(w http.ResponseWriter, r *http.Request) {
		found, err := source.GetContainerInfo(path.Join("/", r.PathValue("name")), request())
		answer(w, found, err)
	})
	mux.HandleFunc("GET "+base+"/subcontainers/{name...}", func(w http.ResponseWriter, r *http.Request) {
		found, err := source.SubcontainersInfo(path.Join("/", r.PathValue("name")), request())
		answer(w, found, err)
	})
}

// row is a container as the page shows it; rates are those between the last two readings.
type row struct {
	Name, Image                         string
	Started                             time.Time
	Processor                           float64 // in percent of one core
	Memory, MemoryLimit, Disk           uint64
	Received, Sent, DiskRead, DiskWrite uint64 // bytes a second
}

func diskTotals(stats *model.ContainerStats) (read, written uint64) {
	if stats.DiskIo == nil {
		return 0, 0
	}
	for _, disk := range stats.DiskIo.IoServiceBytes {
		read += disk.Stats["Read"]
		written += disk.Stats["Write"]
	}
	return read, written
}

func networkTotals(stats *model.ContainerStats) (received, sent uint64) {
	if stats.Network == nil {
		return 0, 0
	}
	for _, face := range stats.Network.Interfaces {
		received += face.RxBytes
		sent += face.TxBytes
	}
	return received, sent
}

func describe(found model.ContainerInfo) row {
	described := row{
		Name: found.Aliases[0], Image: found.Spec.Image, Started: found.Spec.StartTime, MemoryLimit: found.Spec.Memory.Limit,
	}
	count := len(found.Stats)
	if count == 0 {
		return described
	}
	last := found.Stats[count-1]
	if last.Memory != nil {
		described.Memory = last.Memory.WorkingSet
	}
	for _, device := range last.Filesystem {
		described.Disk += device.Usage
	}
	if count < 2 {
		return described
	}
	before := found.Stats[count-2]
	seconds := last.Timestamp.Sub(before.Timestamp).Seconds()
	rate := func(now, then uint64) uint64 {
		if now < then || seconds <= 0 {
			return 0
		}
		return uint64(float64(now-then) / seconds)
	}
	if last.Cpu != nil && before.Cpu != nil {
		described.Processor = float64(rate(last.Cpu.Usage.Total, before.Cpu.Usage.Total)) / 1e7
	}
	received, sent := networkTotals(last)
	receivedBefore, sentBefore := networkTotals(before)
	described.Received, described.Sent = rate(received, receivedBefore), rate(sent, sentBefore)
	read, written := diskTotals(last)
	readBefore, writtenBefore := diskTotals(before)
	described.DiskRead, described.DiskWrite = rate(read, readBefore), rate(written, writtenBefore)
	return described
}

func size(bytes uint64) string {
	if bytes >= 1<<62 {
		return "none"
	}
	value, unit := float64(bytes), "B"
	for _, larger := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, larger
	}
	if unit == "B" || value >= 100 {
		return fmt.Sprintf("%.0f %s", value, unit)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

var page = template.Must(template.New("page").Funcs(template.FuncMap{"size": size}).Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="15">
<meta name="viewport" content="width=device-width">
<title>cAdvisor: {{len .Rows}} containers</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #1b1f24; background: #fff; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .35rem .8rem; text-align: right; border-bottom: 1px solid #d8dde3; font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { background: #f2f4f7; font-weight: 600; }
footer { margin-top: 1.5rem; color: #57606a; }
</style>
</head>
<body>
<h1>Containers</h1>
<table>
<thead><tr><th>Container</th><th>CPU</th><th>Memory</th><th>Limit</th><th>Received</th><th>Sent</th>
<th>Disk read</th><th>Disk written</th><th>Own files</th></tr></thead>
<tbody>
{{range .Rows}}<tr><td title="{{.Image}}">{{.Name}}</td><td>{{printf "%.1f" .Processor}} %</td><td>{{size .Memory}}</td>
<td>{{size .MemoryLimit}}</td><td>{{size .Received}}/s</td><td>{{size .Sent}}/s</td>
<td>{{size .DiskRead}}/s</td><td>{{size .DiskWrite}}/s</td><td>{{size .Disk}}</td></tr>
{{end}}</tbody>
</table>
<footer>cAdvisor {{.Version}}, engine {{.Engine}}. For programs: <a href="{{.Prefix}}/metrics">metrics</a>,
<a href="{{.Prefix}}/api/v1.3/docker/">JSON</a>.</footer>
</body>
</html>
`))

func pageHandler(source provider) http.HandlerFunc {
	return func(writer http.ResponseWriter, _ *http.Request) {
		found, err := source.AllDockerContainers(&model.ContainerInfoRequest{NumStats: 2})
		if err != nil {
			http.Error(writer, err.Error(), http.StatusInternalServerError)
			return
		}
		rows := make([]row, 0, len(found))
		for _, one := range found {
			if len(one.Aliases) > 0 {
				rows = append(rows, describe(one))
			}
		}
		sort.Slice(rows, func(a, b int) bool { return rows[a].Name < rows[b].Name })
		writer.Header().Set("Content-Type", "text/html; charset=utf-8")
		writer.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		values := map[string]any{"Rows": rows, "Version": version.Version, "Engine": source.engineVersion(), "Prefix": *prefix}
		if err := page.Execute(writer, values); err != nil {
			log.Print(err)
		}
	}
}

func healthHandler(source provider) http.HandlerFunc {
	return func(writer http.ResponseWriter, _ *http.Request) {
		if source.engineVersion() == "" {
			http.Error(writer, "the engine does not answer", http.StatusServiceUnavailable)
			return
		}
		_, _ = writer.Write([]byte("ok\n"))
	}
}

func handler(source provider, included container.MetricSet) http.Handler {
	mux := http.NewServeMux()
	serveAPI(mux, *prefix+"/api/v1.3", source)
	mux.Handle("GET "+*prefix+"/metrics", metricsHandler(source, included))
	mux.HandleFunc("GET "+*prefix+"/healthz", healthHandler(source))
	mux.HandleFunc("GET "+*prefix+"/{$}", pageHandler(source))
	for _, place := range []string{"containers", "docker"} {
		mux.HandleFunc("GET "+*prefix+"/"+place+"/{$}", pageHandler(source))
	}
	return mux
}

func run() error {
	included := container.AllMetrics.Difference(disabled)
	// No further control groups, and no environment variables as labels: one empty name is how the library is told.
	none := []string{""}
	collector, err := manager.New(
		memory.New(*storage, nil), sysfs.NewRealSysFs(), manager.HousekeepingConfigFlags, included, none, none, "", 0)
	if err != nil {
		return err
	}
	if err := collector.Start(); err != nil {
		return err
	}
	// Buffered: a second word about the engine must not wait for somebody who listens.
	gone := make(chan error, 2)
	source := provider{Manager: collector, engineVersion: watchEngine(gone)}
	if source.engineVersion() == "" {
		// Without it no container has a name, and nothing would look for it again.
		return errors.New("the engine does not answer")
	}

	server := &http.Server{
		Addr:              net.JoinHostPort(*listenAddress, fmt.Sprint(*port)),
		Handler:           handler(source, included),
		ReadHeaderTimeout: 10 * time.Second,
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	go func() { gone <- server.ListenAndServe() }()
	select {
	case err := <-gone:
		return err
	case <-stop.Done():
	}
	ending, done := context.WithTimeout(context.Background(), stopTimeout)
	defer done()
	return server.Shutdown(ending)
}

func main() {
	showVersion := flag.Bool("version", false, "print the version and end")
	flag.Var(&disabled, "disable_metrics", "kinds of metrics (with commas) not to collect")
	flag.Parse()
	if *showVersion {
		fmt.Println("cAdvisor version", version.Version)
		return
	}
	if err := run(); err != nil {
		log.Print(err)
		os.Exit(1)
	}
}
