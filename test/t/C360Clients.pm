# Clients that talk to psql through pipes and survive what happens to it, and
# servers that are killed.
package C360Clients;

use strict;
use warnings;

use Exporter 'import';
use IO::Handle;
use IPC::Open2;
use List::Util qw(shuffle);
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(open_psql close_psql ask process_state children_of kill_processes kill_server);

# A session as a hash of pid and the ends of two pipes. Notifications are kept
# aside as they come, until somebody takes them.
sub open_psql
{
    my ($connstr, $errors) = @_;
    my $pid = open2(my $from, my $to, 'sh', '-c',
        'exec psql -XAtq -F "|" -v ON_ERROR_STOP=0 -d "$1" 2>>"$2"', 'sh', $connstr, $errors);

    $to->autoflush(1);
    return { pid => $pid, to => $to, from => $from, notifications => [] };
}

sub close_psql
{
    my $session = shift;

    close $session->{to};
    waitpid $session->{pid}, 0;
    return;
}

# Sends one statement; answers SQLSTATE and rows. The state is undef if the
# session ended before it said how it went: psql ends then, too, or gives the
# state of the server's last message, which may come behind a COMMIT that was
# done, or an empty one.
sub ask
{
    my ($session, $statement) = @_;
    my $from = $session->{from};
    my @rows;

    print { $session->{to} } "$statement;\n\\echo = :SQLSTATE\n";
    while (defined(my $line = <$from>))
    {
        chomp $line;
        return ($1 =~ /^(57P0\d|08\w{3}|)$/ ? undef : $1, @rows) if $line =~ /^= (\w{5}|)$/;
        if ($line =~ /^Asynchronous notification "([^"]*)" with payload "(.*)" received from server process with PID (\d+)\.$/)
        {
            push @{ $session->{notifications} }, { channel => $1, text => $2, pid => $3 };
            next;
        }
        push @rows, $line;
    }
    return (undef, @rows);
}

# State and parent of a process, from /proc: they stand behind the name in
# brackets.
sub process_state
{
    my $pid = shift;

    open my $file, '<', "/proc/$pid/stat" or return ('gone', 0);
    my $text = <$file> // '';
    return $text =~ /\) (\w) (\d+)/ ? ($1, $2) : ('gone', 0);
}

# Children of a process that still live.
sub children_of
{
    my $parent = shift;

    return grep { (process_state($_))[1] == $parent } map { /(\d+)$/ } glob '/proc/[0-9]*';
}

sub wait_for_end
{
    my $give_up = time() + $PostgreSQL::Test::Utils::timeout_default;

    foreach my $pid (@_)
    {
        while ((process_state($pid))[0] !~ /gone|Z/)
        {
            die "process $pid does not go away" if time() > $give_up;
            usleep(10_000);
        }
    }
    return;
}

sub kill_processes
{
    kill KILL => $_ foreach @_;
    wait_for_end(@_);
    return;
}

# Kills postmaster and children, in any order, so that nothing is tidied up;
# or the postmaster alone, and waits for the others to notice.
sub kill_server
{
    my ($node, $postmaster_alone) = @_;
    my $postmaster = $node->{_pid};

    kill STOP => $postmaster;    # no child is born while we look
    my @all = ($postmaster, children_of($postmaster));
    kill KILL => $_ foreach $postmaster_alone ? $postmaster : shuffle @all;
    $node->{_pid} = undef;
    wait_for_end(@all);
    # While nobody has asked how the dead postmaster ended, the next one takes
    # it for alive; where nobody ever asks, its lock file has to go.
    my $give_up = time() + 5;
    usleep(10_000) while (process_state($postmaster))[0] eq 'Z' && time() < $give_up;
    unlink $node->data_dir . '/postmaster.pid' if (process_state($postmaster))[0] eq 'Z';
    return scalar @all;
}

1;
