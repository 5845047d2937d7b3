#!/usr/bin/perl
# What a page of the manual shows as answers (blocks "text"), for tests that
# compare: the rows without headings and blanks, and errors.
#
#   shown.pl FILE HEADING...       under these headings ("## ")
use strict;
use warnings;

my ($file, @wanted) = @ARGV;
my ($on, $inside) = (0, 0);
my @lines;

open my $page, '<', $file or die "$file: $!\n";
while (my $line = <$page>)
{
    chomp $line;
    $on = grep { $_ eq $1 } @wanted if !$inside && $line =~ /^## (.*)$/;
    if ($line =~ /^```/)
    {
        $inside = $on && $line =~ /^```text$/;
    }
    elsif ($inside)
    {
        push @lines, $line;
    }
}
foreach my $n (0 .. $#lines)
{
    my $line = $lines[$n];

    next if $line =~ /^(?:[-+]+|\(\d+ rows?\)|DETAIL: .*|HINT: .*|)$/;      # a ruler, a count
    next if ($lines[ $n + 1 ] // '') =~ /^[-+]+$/;                           # names of columns
    $line =~ s/^ +| +$//g;
    $line =~ s/ *\| */|/g;
    print "$line\n";
}
