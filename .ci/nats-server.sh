#!/usr/bin/env bash
# nats-server.sh DIRECTORY: unpacks the nats-server of a newer Debian release into DIRECTORY, by an
# apt configuration of its own, and prints the path of the program. Installs nothing. The release
# of Debian that is installed may have a version that lodestore refuses.
set -euo pipefail
directory=$1
suite=trixie
mkdir -p "$directory"/{lists/partial,cache/archives/partial,root}
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Created-By: Packages' | sort | uniq -c | sort -rn | awk 'NR == 1 { print $2 }')
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keys] $mirror $suite main" >"$directory/sources.list"
private=(
  -o "Dir::State::lists=$directory/lists"
  -o "Dir::Cache=$directory/cache"
  -o "Dir::Etc::sourcelist=$directory/sources.list"
  -o Dir::Etc::sourceparts=-
  -o APT::Sandbox::User=root
)
apt-get "${private[@]}" update >&2
cd "$directory"
apt-get "${private[@]}" download nats-server >&2
dpkg -x nats-server_*.deb root
echo "$directory/root/usr/sbin/nats-server"
