#!/usr/bin/perl
# The SQL blocks of a page of the manual, for tests that run them:
#
#   blocks.pl FILE                 all
#   blocks.pl FILE HEADING...      those under these headings ("## ")
#   blocks.pl FILE HEADING -       those under this heading and all after it
use strict;
use warnings;

my ($file, @wanted) = @ARGV;
my $rest = @wanted && $wanted[-1] eq '-';
my ($heading, $inside, $on) = ('', 0, !@wanted);

open my $page, '<', $file or die "$file: $!\n";
while (my $line = <$page>)
{
    if (!$inside && $line =~ /^## (.*)$/)
    {
        $heading = $1;
        $on = !@wanted || grep({ $_ eq $heading } @wanted) || $on && $rest;
    }
    if ($line =~ /^```/)
    {
        $inside = !$inside && $line =~ /^```sql$/;
        print "\n" if $on;
    }
    elsif ($inside && $on)
    {
        print $line;
    }
}
