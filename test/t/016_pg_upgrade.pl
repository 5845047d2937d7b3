# pg_upgrade takes the tables, the extension and what a DBA added to another
# cluster: nothing is lost, keys answer as before, cursors of before are
# refused, and the workers go on.
#
#   C360_OLD_INSTALL   where another major version with c360 is installed
#                      (its pg_config --bindir, without /bin), to come from
#                      there; by itself both clusters are of one version, for
#                      which pg_upgrade does the same

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Events;
use C360Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $other = $ENV{C360_OLD_INSTALL};
my $old = new_live_node('old', '', $other ? (install_path => $other) : ());
my $new = new_live_node('new', '');

sub with_workers
{
    my $node = shift;

    $node->append_conf('postgresql.conf', "c360.databases = 'shop'\n");
    $node->restart;
    wait_for_worker($node, 'shop', 'c360 publisher');
    return;
}

$old->start;
install_live($old, 'shop');
fill_every_table($old, 'shop');
with_workers($old);
$old->safe_psql('shop', q{
    CREATE ROLE shop_app LOGIN;
    SELECT c360_grant('shop_app', 'viewer');
    ALTER TABLE c360.wallet_transactions ADD COLUMN branch text DEFAULT 'Hà Nội';
    CREATE TABLE public.seen (transaction_id bigint);
    CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.seen VALUES (NEW.id); RETURN NULL; END $$;
    CREATE TRIGGER see AFTER INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION public.see();
    SELECT c360_deposit('0912345678', 70000, idempotency_key => 'of before')});
my $cursor = cursor_now($old, 'shop');

# Beside the oid of a role stands the cluster that gave it.
sub books
{
    my $tables = table_texts(@_);

    $tables->{'c360.granted_levels'} =~ s/,\d{15,},/,cluster,/g;
    return $tables;
}

my $tables = books($old, 'shop');
my $sequences = sequence_texts($old, 'shop');
my $catalog = catalog_text($old, 'shop');
my $first = $old->safe_psql('shop', q{SELECT transaction_id FROM c360_deposit('0912345678', 70000, idempotency_key => 'of before')});
$old->stop;

# it leaves a script where it is called
chdir $dir or die $!;
command_ok(
    [   'pg_upgrade', '--no-sync', '-U', 'postgres', '-d', $old->data_dir, '-D', $new->data_dir,
        '-b', $old->config_data('--bindir'), '-B', $new->config_data('--bindir'),
        '-s', $new->host, '-p', $old->port, '-P', $new->port ],
    'pg_upgrade');

$new->start;
same_tables(books($new, 'shop'), $tables, 'no row is another, ticks among them: no publisher ran meanwhile');
same_text(sequence_texts($new, 'shop'), $sequences, 'ids go on');
same_text(catalog_text($new, 'shop'), $catalog, 'all objects are there') unless $other;
is($new->safe_psql('shop', q{SELECT c360_level()}, extra_params => [ '-U', 'shop_app' ]), 'viewer', 'levels are kept');
is($new->safe_psql('shop', 'SELECT c360_install()'), $new->safe_psql('shop', 'SELECT max(version) FROM c360.table_versions'),
    'c360_install() has nothing to do');
same_tables(books($new, 'shop'), $tables, 'and changes no row');
guard_works($new, 'shop', 'the ledger guard works');
is($new->safe_psql('shop', q{
    SELECT transaction_id, replayed FROM c360_deposit('0912345678', 70000, idempotency_key => 'of before')}),
    "$first|t", 'a key of before answers as before');
cmp_ok($new->safe_psql('shop', q{SELECT transaction_id FROM c360_withdraw('0912345678', 1000)}), '>', $first, 'money moves');
is($new->safe_psql('shop', q{SELECT branch FROM c360.wallet_transactions ORDER BY id DESC LIMIT 1}), 'Hà Nội',
    'a column of the shop has its default');
is($new->safe_psql('shop', q{SELECT max(transaction_id) = (SELECT max(id) FROM c360.wallet_transactions) FROM public.seen}), 't',
    'its trigger is fired');
verify_is_empty($new, 'shop', 'the books are right');

# the workers
with_workers($new);
my $now = cursor_now($new, 'shop');
is(error_in($new, 'shop', "SELECT * FROM c360_events_since('$cursor')"), 'PT410 cursor_expired', 'a cursor of before is refused');
my $listener = listen_to($new, 'shop', 'wallets');
$new->safe_psql('shop', deposit('0912345678', 'e1'));
is(join(' ', map { name_of($_->{payload}) } heard_until($listener, 'e1')), 'e1', 'what is new is heard');
is(names_of(read_events($new, 'shop', $now)), 'e1', 'and read');
$listener->{session}->quit;
$new->stop;

done_testing();
