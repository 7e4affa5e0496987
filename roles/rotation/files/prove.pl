# Tries logins at the FTP server over TLS, and says how each ended. It comes by the standard input, with the attempts behind its
# end: LOGIN PASSWORD, a line each. For each, in order, a line "proof: accepted", "proof: refused", or what else happened.
use strict;
use warnings;
use IPC::Open2;

my $TIMEOUT = 20;    # seconds; the server takes its time over a wrong password

sub attempt {
    my ( $login, $password ) = @_;
    # An address of its own: what counts failed logins shuts an address out, and not that of the health check.
    my $source = join '.', 127, map { 2 + int rand 250 } 1 .. 3;
    my $process = open2( my $answers, my $commands,
        qw(openssl s_client -quiet -starttls ftp -connect 127.0.0.1:2121 -bind), "$source:0" );
    my $expect = sub {
        while ( my $line = <$answers> ) {
            return $1 if $line =~ /^([2-5][0-9][0-9]) /;
        }
        return 'no answer';
    };
    my $answer = eval {
        local $SIG{ALRM} = sub { die "timeout\n" };
        alarm $TIMEOUT;
        syswrite $commands, "USER $login\r\n";
        my $code;
        do { $code = $expect->() } while ( $code =~ /^2/ );
        if ( $code eq '331' ) {
            syswrite $commands, "PASS $password\r\n";
            $code = $expect->();
        }
        alarm 0;
        $code;
    } || 'no answer in time';
    kill 'TERM', $process;
    waitpid $process, 0;
    return $answer eq '230' ? 'accepted' : $answer eq '530' ? 'refused' : "FTP says $answer";
}

$SIG{PIPE} = 'IGNORE';
open STDERR, '>', '/dev/null';
while ( my $line = <DATA> ) {
    my ( $login, $password ) = split ' ', $line;
    print 'proof: ', attempt( $login, $password ), "\n";
}
__END__
