#!/usr/bin/env bash
# A Ceph object gateway on this machine, as a real server of S3's protocol, with the bucket `onsager`: one monitor, one disk in a file,
# no manager. Nobody else can log in: the password is new each time, unless AWS_SECRET_ACCESS_KEY gives one.
#
#   apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common curl
#   benches/remote/ceph.sh start /tmp/ceph 7480      # prints the variables to log in with
#   benches/remote/ceph.sh stop /tmp/ceph
set -euo pipefail

action=${1:?start or stop}
folder=$(realpath -m "${2:?a folder that is made}")
port=${3:-7480}
export CEPH_CONF=$folder/ceph.conf

stop() {
    for process in "$folder"/run/*.pid; do
        [ -e "$process" ] && kill "$(cat "$process")" 2>/dev/null || true
    done
}

if [ "$action" = stop ]; then
    stop
    exit
fi

mkdir -p "$folder"/{run,log,mon,osd}
cluster=$(cat /proc/sys/kernel/random/uuid)
cat >"$CEPH_CONF" <<CONF
[global]
fsid = $cluster
mon host = [v2:127.0.0.1:13300,v1:127.0.0.1:16789]
run dir = $folder/run
pid file = $folder/run/\$type.\$id.pid
admin socket = $folder/run/\$name.asok
log file = $folder/log/\$name.log
keyring = $folder/\$name.keyring
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
mon data = $folder/mon/\$id
osd data = $folder/osd/\$id
osd objectstore = bluestore
bluestore block size = 21474836480
osd memory target = 1073741824
osd crush chooseleaf type = 0
# The server shares the machine with the clients that are measured: it writes no logs of its insides and sums nothing twice.
bluestore csum type = none
ms crc data = false
debug default = 0/0
debug ms = 0/0
debug rgw = 0/0
debug osd = 0/0
debug bluestore = 0/0
debug bdev = 0/0
debug rocksdb = 0/0
debug objecter = 0/0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
rgw rados pool pg num min = 8
rgw gc obj min wait = 5
rgw gc processor period = 10
rgw gc processor max time = 10
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:$port
CONF

ceph-authtool --create-keyring "$folder/mon.keyring" --gen-key -n mon. --cap mon 'allow *'
ceph-authtool --create-keyring "$folder/client.admin.keyring" --gen-key -n client.admin \
    --cap mon 'allow *' --cap osd 'allow *'
ceph-authtool "$folder/mon.keyring" --import-keyring "$folder/client.admin.keyring" >/dev/null
monmaptool -c "$CEPH_CONF" --create --addv a '[v2:127.0.0.1:13300,v1:127.0.0.1:16789]' --fsid "$cluster" "$folder/monmap" >/dev/null
ceph-mon --mkfs -i a --monmap "$folder/monmap" --keyring "$folder/mon.keyring"
ceph-mon -i a

disk=$(cat /proc/sys/kernel/random/uuid)
secret=$(ceph-authtool --gen-print-key)
number=$(echo "{\"cephx_secret\": \"$secret\"}" | ceph osd new "$disk" -i -)
mkdir -p "$folder/osd/$number"
ceph-authtool --create-keyring "$folder/osd.$number.keyring" -n "osd.$number" --add-key "$secret"
ceph-osd -i "$number" --mkfs --osd-uuid "$disk" >/dev/null 2>&1
ceph-osd -i "$number" >/dev/null

ceph auth get-or-create client.rgw.a mon 'allow rw' osd 'allow rwx' -o "$folder/client.rgw.a.keyring"
radosgw -n client.rgw.a
key=${AWS_ACCESS_KEY_ID:-onsagertest}
secret=${AWS_SECRET_ACCESS_KEY:-$cluster}
radosgw-admin user create --uid=onsager --display-name=onsager --access-key="$key" --secret="$secret" >/dev/null
for _ in $(seq 100); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    sleep 0.2
done
curl -sf -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' --aws-sigv4 aws:amz:us-east-1:s3 --user "$key:$secret" -X PUT "http://127.0.0.1:$port/onsager"
echo "export AWS_ACCESS_KEY_ID=$key AWS_SECRET_ACCESS_KEY=$secret AWS_DEFAULT_REGION=us-east-1 AWS_ENDPOINT_URL=http://127.0.0.1:$port"
