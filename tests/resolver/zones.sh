#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# zones.sh DIR PORT: signed and spoilt zones for tests/resolver, an nsd.conf that serves them on 127.0.0.1:PORT, and anchors.
# Every zone stands on the one server; `stubs.conf` tells libunbound so, which is why a port above 1023 is enough.
set -eu
cd "$1"
port=$2

key() { # key ZONE: makes its key, prints the base of the file names
  ldns-keygen -a ECDSAP256SHA256 -k "$1"
}

soa='@ 60 IN SOA ns. root. 1 600 600 600 2
@ 60 IN NS ns.'

# sign ZONE NAME [OPTIONS]: signs NAME.zone, whose origin is ZONE
sign() {
  zone=$1 name=$2
  shift 2
  base=$(key "$zone")
  mv "$base.ds" "$name.ds"
  ldns-signzone -b -o "$zone" -f "$name.signed" "$@" "$name.zone" "$base"
  cp "$base.key" "$name.key"
}

many=
i=1
while [ $i -le 80 ]; do
  many="$many
_25._tcp.many IN TLSA 3 1 1 $(printf %064x $i)"
  i=$((i + 1))
done
chain=
i=0
while [ $i -lt 13 ]; do
  chain="$chain
l$i IN CNAME l$((i + 1))"
  i=$((i + 1))
done

cat > secure.zone <<END
\$ORIGIN secure.
\$TTL 60
$soa
@ IN MX 10 mx
@ IN MX 20 mx.plain.
mx IN A 192.0.2.1
mx IN AAAA 2001:db8::1
_25._tcp.mx IN TLSA 3 1 1 $(printf %064x 1)
_25._tcp.short IN TLSA 3 1 1 00
alias IN CNAME mx
leaves IN CNAME mx.plain.
there IN CNAME back.plain.
broken IN A 192.0.2.66
_25._tcp.broken IN TLSA 3 1 1 $(printf %064x 66)
tobroken IN CNAME broken
plaintobroken IN CNAME tobroken.plain.
old IN DNAME new
mx.new IN A 192.0.2.2
_25._tcp.mx.new IN TLSA 3 1 1 $(printf %064x 2)
text IN TXT "v=STSv1; " "id=1;"
loop1 IN CNAME loop2
loop2 IN CNAME loop1
brief 2 IN A 192.0.2.7
l13 IN A 192.0.2.13
7.rev IN PTR mx
8.rev IN CNAME 8.0/25.rev
8.0/25.rev IN PTR mx
9.rev IN PTR no/name
9.rev IN PTR mx
$chain
$many
END
sign secure. secure
sed -i -e 's/\(broken.secure..*\)192\.0\.2\.66/\1192.0.2.67/' -e "/^_25._tcp.broken/s/42\$/43/" secure.signed

cat > plain.zone <<END
\$ORIGIN plain.
\$TTL 60
$soa
@ IN MX 10 mx
mx IN A 192.0.2.11
back IN CNAME mx.secure.
tobroken IN CNAME broken.secure.
_25._tcp.mx IN TLSA 3 1 1 $(printf %064x 11)
END
cp plain.zone plain.signed

for name in test expired optout iterations algorithm digest otherds; do
  cat > $name.zone <<END
\$ORIGIN $name.
\$TTL 60
$soa
@ IN MX 10 mx
mx IN A 192.0.2.21
child IN NS ns.
END
done
sign test. test
sign expired. expired -i 20200101000000 -e 20200201000000
sign optout. optout -n -p
sign iterations. iterations -n -t 400
sign algorithm. algorithm
sign digest. digest
sign otherds. otherds
sed -i 's/ 13 2 / 200 2 /;s/\t13 2 /\t200 2 /' algorithm.ds
sed -i 's/ 13 2 / 13 200 /;s/\t13 2 /\t13 200 /' digest.ds
cp secure.ds otherds.ds
sed -i 's/^secure\./otherds./' otherds.ds

# a DS in the root, and not one signature in the zone
sed 's/^\$ORIGIN .*/$ORIGIN stripped./' expired.zone > stripped.signed
sed 's/^secure\./stripped./' secure.ds > stripped.ds

cat > root.zone <<END
. 60 IN SOA ns. root. 1 600 600 600 2
. 60 IN NS ns.
ns. 60 IN A 127.0.0.1
plain. 60 IN NS ns.
liar. 60 IN NS ns.
dark. 60 IN NS ns.
END
for name in secure test expired optout iterations algorithm digest otherds stripped; do
  echo "$name. 60 IN NS ns." >> root.zone
  cat $name.ds >> root.zone
done
sed 's/^secure\./dark./' secure.ds >> root.zone
sign . root

cat > nsd.conf <<END
server:
  ip-address: 127.0.0.1@$port
  server-count: 1
  username: ""
  zonesdir: "$1"
  pidfile: "$1/pid"
  logfile: "$1/log"
  zonelistfile: "$1/zone.list"
  xfrdfile: "$1/xfrd.state"
  xfrdir: "$1"
  database: ""
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: "."
  zonefile: root.signed
END
cat > stubs.conf <<END
server:
  do-ip6: no
stub-zone:
  name: "."
  stub-addr: 127.0.0.1@$port
END
for name in secure test plain expired optout iterations algorithm digest otherds stripped; do
  printf 'zone:\n  name: "%s."\n  zonefile: %s.signed\n' $name $name >> nsd.conf
  printf 'stub-zone:\n  name: "%s."\n  stub-addr: 127.0.0.1@%s\n' $name "$port" >> stubs.conf
done
printf 'stub-zone:\n  name: "dark."\n  stub-addr: 127.0.0.1@1\n' >> stubs.conf
