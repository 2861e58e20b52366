#!/bin/sh
# Get the database servers that the lab runs: MariaDB and PostgreSQL of this Debian release and MySQL of Debian sid, unpacked
# from their packages under .cache/databases. Nothing is installed and the system's list of packages is not changed (for
# MySQL apt works in a folder of its own). Does nothing when they are already there.
#
#   tools/get_databases.sh [mariadb] [mysql] [postgres] [percona]        default: all
#
# The result is programs that take a server's options: .cache/databases/mariadb/mariadbd, .cache/databases/mysql/mysqld,
# .cache/databases/postgres/postgres (and initdb beside it);
# and, for the tests, an independent judge of accounts: .cache/databases/percona/pt-show-grants.
# Where Debian's packages cannot be had, a mariadbd, a real mysqld or a postgres of this machine is used.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
home=${RDS_LAB_DATABASES:-$top/.cache/databases}
want=${*:-mariadb mysql postgres percona}

say() { printf 'get_databases: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

is_debian() { command -v apt-get >/dev/null && command -v dpkg >/dev/null; }

# Writes the program that starts a server with the libraries it was unpacked with.
write_program() {  # PROGRAM LIBRARY_FOLDER LOADER BINARY OPTIONS
    printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" --no-defaults %s "$@"\n' "$3" "$2" "$4" "$5" >"$1"
    chmod +x "$1"
}

get_mariadb() {
    dir=$home/mariadb
    if [ -x "$dir/mariadbd" ] && "$dir/mariadbd" --version >/dev/null 2>&1; then
        say "MariaDB is there: $("$dir/mariadbd" --version | sed 's/.*Ver \([^ ]*\).*/\1/')"
        return
    fi
    rm -rf "$dir"
    mkdir -p "$dir/debs" "$dir/root"
    packages="mariadb-server-core mariadb-server mariadb-client-core libmariadb3 libaio1 liburing2 libnuma1 libpmem1 libsnappy1v5
              libndctl6 libdaxctl1 libpcre2-8-0 libssl3 libstdc++6 libgcc-s1 libsystemd0 libcrypt1 zlib1g liblzma5 liblz4-1 libzstd1
              libbz2-1.0 libcap2 libgcrypt20 libgpg-error0 liblzo2-2 libkmod2 libuuid1 libc6"
    if is_debian; then
        # shellcheck disable=SC2086  # a list of words
        fetch() { ( cd "$dir/debs" && apt-get -qq -o APT::Sandbox::User=root download $packages ); }
        if ! fetch >"$dir/log" 2>&1; then
            say "MariaDB: refreshing the list of packages"
            apt-get -qq update >>"$dir/log" 2>&1 || true
            fetch >>"$dir/log" 2>&1 || rm -f "$dir"/debs/mariadb-server-core*
        fi
    fi
    if [ -n "$(find "$dir/debs" -name 'mariadb-server-core*.deb')" ]; then
        for deb in "$dir"/debs/*.deb; do dpkg -x "$deb" "$dir/root"; done
        rm -rf "$dir/debs" "$dir/root/usr/share/doc" "$dir/root/usr/share/man" "$dir/root/etc" "$dir/root/usr/share/locale"
        lib=$(find "$dir/root" -path '*/lib/*-linux-gnu*' -name libc.so.6 -exec dirname {} \; | head -1)
        usr=$(find "$dir/root/usr/lib" -maxdepth 1 -name '*-linux-gnu*' | head -1)
        # the loader is taken through the folder, so that it works wherever /lib is a link
        loader=$(find "$lib" -name 'ld-linux*.so.*' | head -1)
        plugins=$(find "$dir/root/usr/lib" -type d -path '*plugin' | head -1)
        write_program "$dir/mariadbd" "$lib:$usr" "$loader" "$dir/root/usr/sbin/mariadbd" \
            "--basedir=\"$dir/root/usr\" --lc-messages-dir=\"$dir/root/usr/share/mysql\" --plugin-dir=\"$plugins\""
        "$dir/mariadbd" --version >"$dir/version" 2>&1 || fail "MariaDB does not start: $(cat "$dir/version")"
        say "MariaDB unpacked from Debian's packages: $(sed 's/.*Ver \([^ ]*\).*/\1/' "$dir/version")"
    elif command -v mariadbd >/dev/null; then
        printf '#!/bin/sh\nexec "%s" --no-defaults "$@"\n' "$(command -v mariadbd)" >"$dir/mariadbd"
        chmod +x "$dir/mariadbd"
        say "MariaDB of this machine: $(command -v mariadbd)"
    else
        cat "$dir/log" >&2 2>/dev/null || true
        rm -rf "$dir"
        fail "MariaDB: neither Debian's packages nor a mariadbd on PATH"
    fi
}

get_mysql() {
    dir=$home/mysql
    if [ -x "$dir/mysqld" ] && "$dir/mysqld" --version >/dev/null 2>&1; then
        say "MySQL is there: $("$dir/mysqld" --version | sed 's/.*Ver \([^ ]*\).*/\1/')"
        return
    fi
    rm -rf "$dir"
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/root"
    if is_debian && get_mysql_of_sid >"$dir/log" 2>&1; then
        rm -rf "$dir/cache" "$dir/lists"
        say "MySQL unpacked from Debian sid's packages: $("$dir/mysqld" --version | sed 's/.*Ver \([^ ]*\).*/\1/')"
    elif command -v mysqld >/dev/null && mysqld --version | grep -qv MariaDB; then
        printf '#!/bin/sh\nexec "%s" --no-defaults "$@"\n' "$(command -v mysqld)" >"$dir/mysqld"
        chmod +x "$dir/mysqld"
        say "MySQL of this machine: $(command -v mysqld)"
    else
        cat "$dir/log" >&2 2>/dev/null || true
        rm -rf "$dir"
        fail "MySQL: neither Debian sid's packages nor a real mysqld on PATH"
    fi
}

get_mysql_of_sid() {
    : >"$dir/status"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -1)
    [ -n "$mirror" ] || mirror=http://deb.debian.org/debian/
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >"$dir/sources.list"
    set -- -qq -y -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$dir/lists" \
        -o "Dir::State::status=$dir/status" -o "Dir::Cache=$dir/cache" -o Acquire::Languages=none -o APT::Sandbox::User=root
    apt-get "$@" update || return 1
    apt-get "$@" --no-install-recommends --download-only install mysql-server-core || return 1
    for deb in "$dir"/cache/archives/*.deb; do dpkg -x "$deb" "$dir/root" || return 1; done
    rm -rf "$dir/root/usr/bin" "$dir/root/usr/share/doc" "$dir/root/usr/share/perl" "$dir"/root/usr/lib/*/perl*
    lib=$(find "$dir/root/usr/lib" -maxdepth 1 -name '*-linux-gnu*' | head -1)
    loader=$(find "$lib" -maxdepth 1 -name 'ld-linux*.so.*' | head -1)
    write_program "$dir/mysqld" "$lib" "$loader" "$dir/root/usr/sbin/mysqld" \
        "--basedir=\"$dir/root/usr\" --lc-messages-dir=\"$dir/root/usr/share/mysql\" --secure-file-priv=NULL"
    "$dir/mysqld" --version
}

get_postgres() {
    dir=$home/postgres
    if [ -x "$dir/postgres" ] && "$dir/postgres" --version >/dev/null 2>&1; then
        say "PostgreSQL is there: $("$dir/postgres" --version)"
        return
    fi
    rm -rf "$dir"
    mkdir -p "$dir/debs" "$dir/root"
    # The version of the release, and the libraries that it needs; without libc6, as initdb starts postgres itself.
    if is_debian; then
        fetch_postgres() {
            number=$(apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -1)
            [ -n "$number" ] || return 1
            # Their names change from release to release (libicu72, libssl3t64, ...): what the two packages depend on says them.
            libraries=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances \
                "postgresql-client-$number" "postgresql-$number" | grep '^lib' | grep -v -e '^libc6' -e '^libllvm' -e '-perl' -e '^libperl' | sort -u)
            # shellcheck disable=SC2086  # a list of words
            ( cd "$dir/debs" && apt-get -qq -o APT::Sandbox::User=root download "postgresql-$number" "postgresql-client-$number" $libraries )
        }
        fetch_postgres >"$dir/log" 2>&1 || { apt-get -qq update && fetch_postgres; } >>"$dir/log" 2>&1 || rm -f "$dir"/debs/postgresql-*
    fi
    if [ -n "$(find "$dir/debs" -name 'postgresql-[0-9]*.deb')" ]; then
        for deb in "$dir"/debs/*.deb; do dpkg -x "$deb" "$dir/root"; done
        rm -rf "$dir/debs" "$dir/root/usr/share/doc" "$dir/root/usr/share/man" "$dir/root/usr/share/locale" "$dir"/root/usr/lib/postgresql/*/lib/bitcode
        bin=$(find "$dir/root/usr/lib/postgresql" -type d -name bin | head -1)
        lib=$(find "$dir/root/lib" "$dir/root/usr/lib" -maxdepth 1 -name '*-linux-gnu*' | paste -sd : -)
    else
        bin=$(find /usr/lib/postgresql -type d -name bin 2>/dev/null | sort -V | tail -1)
        [ -n "$bin" ] || bin=$(dirname "$(command -v postgres || echo /nonexistent/postgres)")
        lib=
    fi
    if [ ! -x "$bin/initdb" ]; then
        cat "$dir/log" >&2 2>/dev/null || true
        rm -rf "$dir"
        fail "PostgreSQL: neither Debian's packages nor a postgres and initdb of this machine"
    fi
    for program in postgres initdb; do
        # shellcheck disable=SC2016  # the program expands it
        printf '#!/bin/sh\nLD_LIBRARY_PATH="%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "%s" "$@"\n' "$lib" "$bin/$program" >"$dir/$program"
        chmod +x "$dir/$program"
    done
    "$dir/postgres" --version >"$dir/version" 2>&1 || fail "PostgreSQL does not start: $(cat "$dir/version")"
    say "PostgreSQL: $(cat "$dir/version"), from $bin"
}

get_percona() {
    dir=$home/percona
    if [ -x "$dir/pt-show-grants" ] && "$dir/pt-show-grants" --version >/dev/null 2>&1; then
        say "percona-toolkit is there: $("$dir/pt-show-grants" --version)"
        return
    fi
    rm -rf "$dir"
    mkdir -p "$dir/debs" "$dir/root"
    if is_debian; then
        fetch_percona() {
            ( cd "$dir/debs" && apt-get -qq -o APT::Sandbox::User=root download percona-toolkit libdbi-perl libdbd-mysql-perl libmariadb3 )
        }
        fetch_percona >"$dir/log" 2>&1 || { apt-get -qq update && fetch_percona; } >>"$dir/log" 2>&1 || rm -f "$dir"/debs/percona-toolkit*
    fi
    if [ -n "$(find "$dir/debs" -name 'percona-toolkit*.deb')" ]; then
        for deb in "$dir"/debs/*.deb; do dpkg -x "$deb" "$dir/root"; done
        perl=$(find "$dir/root/usr/lib" -type d -path '*-linux-gnu*/perl5/*' -prune | head -1)
        lib=$(find "$dir/root/usr/lib" -maxdepth 1 -name '*-linux-gnu*' | head -1)
        # shellcheck disable=SC2016  # the program expands it
        printf '#!/bin/sh\nPERL5LIB="%s" LD_LIBRARY_PATH="%s" MARIADB_PLUGIN_DIR="%s" exec perl "%s" "$@"\n' \
            "$perl" "$lib" "$lib/libmariadb3/plugin" "$dir/root/usr/bin/pt-show-grants" >"$dir/pt-show-grants"
        chmod +x "$dir/pt-show-grants"
        rm -rf "$dir/debs" "$dir/root/usr/share/doc" "$dir/root/usr/share/man"
    elif command -v pt-show-grants >/dev/null; then
        ln -s "$(command -v pt-show-grants)" "$dir/pt-show-grants"
    else
        cat "$dir/log" >&2 2>/dev/null || true
        rm -rf "$dir"
        fail "percona-toolkit: neither Debian's package nor pt-show-grants on PATH"
    fi
    "$dir/pt-show-grants" --version >"$dir/version" 2>&1 || fail "pt-show-grants does not start: $(cat "$dir/version")"
    say "percona-toolkit: $(cat "$dir/version")"
}

mkdir -p "$home"
# One at a time: two labs that start together must not unpack into the same folder.
if [ -z "${RDS_LAB_LOCKED:-}" ] && command -v flock >/dev/null; then
    RDS_LAB_LOCKED=1 exec flock "$home/.lock" "$0" "$@"
fi

jobs=""
for one in $want; do
    case $one in
        mariadb | mysql | postgres | percona) "get_$one" & jobs="$jobs $!" ;;
        *) fail "unknown server: $one" ;;
    esac
done
status=0
for job in $jobs; do wait "$job" || status=1; done
exit $status
