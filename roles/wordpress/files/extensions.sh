#!/bin/sh
# Installs extensions of PHP and leaves each switched off, with what it needs, in a directory that a site's PHP can read besides its own:
# /etc/wordpress/extensions/NAME. Each argument is NAME=PACKAGE=VARIABLE; no package where PHP brings the extension itself.
set -eu

installed=""
for argument; do
  name=${argument%%=*}
  rest=${argument#*=}
  package=${rest%%=*}
  variable=${rest#*=}
  mkdir -p "/etc/wordpress/extensions/$name"
  [ -n "$package" ] || continue
  if ! apt-cache policy "$package" | grep --quiet 'Candidate: [^(]'; then
    echo "$variable: $name: Debian has no package $package here, and PHP no such extension" >&2
    exit 1
  fi
  # Asked before anything is installed: what one extension brings may be what another one needs.
  apt-get install --simulate -qq --no-install-recommends "$package" | sed -n 's/^Inst \([^ ]*\) .*/\1/p' > "/tmp/extension-$name"
  installed="$installed $package"
done
if [ -n "$installed" ]; then
  # Names of packages, which hold no spaces.
  # shellcheck disable=SC2086
  apt-get install -y -qq --no-install-recommends $installed
fi

for argument; do
  name=${argument%%=*}
  rest=${argument#*=}
  package=${rest%%=*}
  variable=${rest#*=}
  modules=$name
  if [ -n "$package" ]; then
    modules=$(xargs --no-run-if-empty dpkg -L < "/tmp/extension-$name" | sed -n 's#^/usr/lib/php/[0-9]*/\([a-z0-9_]*\)\.so$#\1#p' | sort -u)
    rm "/tmp/extension-$name"
  fi
  for module in $modules; do
    for file in /etc/php/*/mods-available/"$module".ini; do
      if [ ! -f "$file" ]; then
        echo "$variable: $name: PHP has no extension of this name" >&2
        exit 1
      fi
      priority=$(sed -n 's/^; *priority=\([0-9]*\).*/\1/p' "$file")
      cp "$file" "/etc/wordpress/extensions/$name/${priority:-20}-$module.ini"
    done
    phpdismod "$module"
  done
  if [ -z "$modules" ]; then
    echo "$variable: $name: the package $package brings no extension that PHP does not have already" >&2
    exit 1
  fi
done
