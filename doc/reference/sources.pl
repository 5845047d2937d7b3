#!/usr/bin/perl
# What the sources say and the catalogs do not, one fact a line:
#
#   function  name  area        the file of sql/functions/ that it stands in
#   event     name              announced somewhere
#   error     SQLSTATE word message
#                               raised somewhere; SQLSTATE and message are "-"
#                               where they do not stand beside the word
#
# Called from the top of the tree by generate.sql.
use strict;
use warnings;

my %facts;
my %state;
my %coded;              # words whose SQLSTATE is known

sub fact
{
    my @columns = @_;
    $coded{ $columns[2] } = 1 if $columns[0] eq 'error' && $columns[1] ne '-';
    $facts{ join("\t", @columns) } = 1;
    return;
}

sub slurp
{
    my ($file) = @_;
    open my $handle, '<:raw', $file or die "$file: $!\n";
    local $/;
    return scalar <$handle>;
}

# Literals that begin with a machine word and a colon, such as "key_reused: …".
my $word = qr/[a-z]+(?:_[a-z]+)*/;
my $compound = qr/[a-z]+(?:_[a-z]+)+/;
my $event = qr/(?:wallet|ticket|customer|bank|order)\.[a-z_]+/;

for my $file (sort glob 'sql/functions/*.sql')
{
    my $text = slurp($file);
    (my $area = $file) =~ s{.*/\d+_|\.sql$}{}g;

    fact('function', $1, $area) while $text =~ /^CREATE (?:FUNCTION|PROCEDURE) \@extschema\@\.(\w+)/mg;
    $text =~ s/^\s*--.*$//mg;
    $text =~ s/^COMMENT ON .*?';$//msg;
    while ($text =~ /RAISE EXCEPTION USING(.*?);/sg)
    {
        my $raise = $1;
        my ($code) = $raise =~ /ERRCODE = '(\w{5})'/;
        my ($message) = $raise =~ /MESSAGE = '([^']+)'/;
        my ($detail) = $raise =~ /DETAIL = (?:format\()?'($word)(?=[:'])/;
        fact('error', $code, $detail, $message // '-') if defined $code && defined $detail;
    }
    fact('error', '-', $1, '-') while $text =~ /'($compound): /g;
    fact('event', $1) while $text =~ /'($event)'/g;
}

# SQLSTATEs behind the macros: c360's own, and the server's.
my $server = `\${PG_CONFIG:-pg_config} --includedir-server`;
chomp $server;
for my $file ("$server/utils/errcodes.h", 'src/call.h')
{
    my $text = slurp($file);
    while ($text =~ /^#define\s+ERRCODE_(\w+)\s+MAKE_SQLSTATE\(([^)]*)\)/mg)
    {
        my ($name, $digits) = ($1, $2);
        $state{$name} = $digits =~ s/[^0-9A-Z]//gr;
    }
}

for my $file (sort glob 'src/*.c')
{
    my $text = slurp($file);
    $text =~ s/^#include.*$//mg;
    $text =~ s/"\s*\n\s*"//g;
    while ($text =~ /ereport\(ERROR,(.*?)\);\n/sg)
    {
        my $report = $1;
        my ($code) = $report =~ /errcode\(ERRCODE_(\w+)\)/;
        my ($message) = $report =~ /errmsg\("([^"%]+)"/;
        my ($detail) = $report =~ /errdetail\("($word)(?=[:"])/;
        fact('error', $state{$code} // '-', $detail, $message // '-') if defined $code && defined $detail;
    }
    # conflicts that an index or a lock reports, in src/call.c
    fact('error', 'PT409', $2, $1) while $text =~ /\{"\w+", "([^"]+)",\s*"($word): /g;
    fact('error', 'PT409', $2, $1) while $text =~ /become_conflict\(\w+, "([^"]+)",\s*"($word): /g;
    fact('error', '-', $1, '-') while $text =~ /"($compound): /g;
    fact('error', '-', $1, '-') while $text =~ /"($word\_not_found)"/g;
    fact('event', $1) while $text =~ /"($event)"/g;
}

for my $fact (sort keys %facts)
{
    print "$fact\n" unless $fact =~ /^error\t-\t(\w+)/ && $coded{$1};
}
