# Writes the script that updates an installation of the release before.
#
#   awk -v released=A -v version=B -v comment="'…'" -f sql/update.awk \
#       sql/releases/c360--A.sql sql/update.sql sql/c360--B.sql sql/c360--B.sql
#
# The script of version B (read twice), behind the prelude:
#
#   function or procedure whose arguments and answer are what they were
#                            CREATE OR REPLACE: it keeps its grants, and the
#                            views that use it stay
#   one that is new          CREATE: what somebody else made is not taken over
#   one whose arguments or answer changed
#                            DROP and CREATE; c360_install() gives it back to
#                            the levels
#   one that is gone         DROP
#   type that is what it was left out
#   type that changed or is gone
#                            by hand in the prelude, or the build fails
#
# A name that a DROP or ALTER TYPE of the prelude mentions is left to it.

function fail(message) {
    print "sql/update.awk: " message > "/dev/stderr"
    failed = 1
    exit 1
}

# The name in "CREATE … @extschema@.name(…".
function name_in(line) {
    sub(/^[^@]*@extschema@\./, "", line)
    sub(/^"/, "", line)
    sub(/[^a-z0-9_\/-].*/, "", line)
    return line
}

# What CREATE OR REPLACE cannot change: blanks do not count, nor do the values
# of defaults.
function normal(text) {
    gsub(/[ \t\n]+/, " ", text)
    gsub(/ DEFAULT (NULL|true|false|-?[0-9.]+|'[^']*'|now\(\))(::[a-z]+(\[\])?)?/, " DEFAULT", text)
    gsub(/\( /, "(", text)
    gsub(/ \)/, ")", text)
    sub(/ +$/, "", text)
    return text
}

FNR == 1 { pass++; inside = ""; body = "" }

# Bodies in dollars are skipped, so that nothing in them is taken for a
# statement of the script.
pass != 2 && body != "" {
    if (index($0, body))
        body = ""
    if (pass == 4)
        print
    next
}
pass != 2 && /^(AS|DO) \$[a-z0-9_]*\$$/ { body = $2 }

# The prelude.
pass == 2 {
    gsub(/@released@/, released)
    gsub(/@version@/, version)
    gsub(/@comment@/, comment)
    print
    if (/^(DROP|ALTER) [A-Z ]*@extschema@\./)
        by_hand[name_in($0)] = 1
    next
}

# Signatures: up to LANGUAGE of a function, the whole of a type.
/^CREATE (FUNCTION|PROCEDURE|TYPE|DOMAIN) @extschema@\./ {
    inside = name_in($0)
    kind = $2
    text = ""
}
inside != "" {
    ended = (kind == "TYPE" || kind == "DOMAIN") ? /;$/ : /^LANGUAGE/
    if (kind == "TYPE" || kind == "DOMAIN" || !ended)
        text = text " " $0
    held = held $0 "\n"
    if (ended) {
        if (pass == 1)
            was[inside] = normal(text)
        else if (pass == 3)
            is[inside] = normal(text)
        else
            create(inside)
        kinds[inside] = kind
        inside = held = ""
    }
    next
}

pass == 3 { next }
pass == 4 && !started {
    # behind the head of the script
    if (/^SET LOCAL search_path/) {
        started = 1
        drop_all()
    }
    next
}
pass == 4 { print }

# Writes the statement that is held, with what of it may be replaced.
function create(name) {
    if (name in was && !(name in by_hand)) {
        if (is[name] == was[name]) {
            if (kind == "TYPE" || kind == "DOMAIN")
                return
            sub(/^CREATE /, "CREATE OR REPLACE ", held)
        } else if (kind == "TYPE" || kind == "DOMAIN")
            fail("type " name " changed: ALTER TYPE belongs into sql/update.sql")
    } else if (name in by_hand && (kind == "TYPE" || kind == "DOMAIN") && name in was)
        return
    printf "%s", held
}

function drop_all(   name, i, n, names, other) {
    for (name in was)
        if (!(name in by_hand) && !(name in is && is[name] == was[name]))
            names[++n] = name
    for (i = 2; i <= n; i++)
        for (other = i; other > 1 && names[other - 1] > names[other]; other--) {
            name = names[other]
            names[other] = names[other - 1]
            names[other - 1] = name
        }
    for (i = 1; i <= n; i++) {
        name = names[i]
        if (kinds[name] == "TYPE" || kinds[name] == "DOMAIN") {
            if (!(name in is))
                fail("type " name " is gone: DROP TYPE belongs into sql/update.sql")
        } else
            print "DROP ROUTINE @extschema@." name ";"
    }
}

END {
    if (!failed && (pass != 4 || !started || inside != "" || body != ""))
        fail("the scripts are not what they are thought to be")
    exit failed
}
