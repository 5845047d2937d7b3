#!/usr/bin/env bash
# cppcheck and clang-tidy over src/; called by "make lint". Silent and 0 if
# there is nothing to say. What is silenced, and why:
#
#   cppcheck
#     shadowFunction, shadowVariable  "now", "refund": short words for what is meant, within a function
#     variableScope                   a static that lives as long as the process stands at the head of its function
#     unusedStructMember              the union within the server's LOCAL_FCINFO
#     unknownEvaluationOrder          list_make2(makeString(a), makeString(b)): either may be made first
#     missingInclude*                 system headers are not read
#   clang-tidy
#     bugprone-easily-swappable-parameters    many functions take two numbers of one type; tests tell them apart
#     bugprone-narrowing-conversions          sizeof and strlen of short texts as int, as the server does; amounts stay int64
#     bugprone-implicit-widening-*            ALLOCSET_DEFAULT_SIZES and products of small constants
#     bugprone-reserved-identifier, cert-dcl37-c, cert-dcl51-cpp    _PG_init is the server's name
#     bugprone-assignment-in-if-condition     the server's way of walking lists and scans
#     misc-unused-parameters                  callbacks and PG_FUNCTION_ARGS have fixed signatures
#     performance-no-int-to-ptr               Datum, the server's word for either
#     clang-analyzer-optin.performance.Padding    fields stand by meaning
#
# USE_ASSERT_CHECKING lets the analyzer know what is asserted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
pg_config=${PG_CONFIG:-pg_config}
tidy=$(command -v "${CLANG_TIDY:-clang-tidy}")
server=$("$pg_config" --includedir-server)
failed=0

nice -n 19 cppcheck --quiet --error-exitcode=1 --std=c99 --enable=warning,style,performance,portability \
    --suppress=shadowFunction --suppress=shadowVariable --suppress=variableScope --suppress=unusedStructMember \
    --suppress=unknownEvaluationOrder:src/worker.c --suppress=missingInclude --suppress=missingIncludeSystem \
    -D__GNUC__=12 -I src -I "$server" src/*.c || failed=1

checks='-*,bugprone-*,cert-*,clang-analyzer-*,misc-*,performance-*,portability-*'
checks+=',-bugprone-easily-swappable-parameters,-bugprone-narrowing-conversions'
checks+=',-bugprone-implicit-widening-of-multiplication-result,-bugprone-reserved-identifier'
checks+=',-cert-dcl37-c,-cert-dcl51-cpp,-bugprone-assignment-in-if-condition,-misc-unused-parameters'
checks+=',-performance-no-int-to-ptr,-clang-analyzer-optin.performance.Padding'
for file in src/*.c; do
    nice -n 19 "$tidy" --quiet --warnings-as-errors='*' --checks="$checks" "$file" -- \
        -std=gnu99 -D_GNU_SOURCE -DUSE_ASSERT_CHECKING -DC360_VERSION='"0"' -DC360_TABLES_VERSION=1 \
        -I src -I "$server" 2>/dev/null || failed=1
done
exit $failed
