#!/usr/bin/env bash
# Packages install in a bare Debian, train a model, and compile a program by find_package and by pkg-config.
# Usage, as root: packages.sh SUITE FOLDER_OF_PACKAGES, where SUITE is bookworm or trixie: that for which they were built.
set -euo pipefail
suite=$1 packages=$(realpath "$2")
command -v debootstrap >/dev/null || { echo "Nothing is installed: apt-get install debootstrap" >&2; exit 77; }
system=$(mktemp -d /var/tmp/cinch-packages.XXXXXX)
trap 'umount "$system/proc" 2>/dev/null; rm -rf "$system"' EXIT
debootstrap --variant=minbase "$suite" "$system" >/dev/null
mount -t proc proc "$system/proc"
cp "$packages"/*.deb "$system/tmp/"
inside() { chroot "$system" env DEBIAN_FRONTEND=noninteractive HOME=/root "$@"; }
inside apt-get update -q >/dev/null

echo "== from dpkg to a trained model"
begin=$SECONDS
inside sh -c 'apt-get install -q -y --no-install-recommends /tmp/libcinch0*.deb /tmp/cinch-tools*.deb dataset-fashion-mnist' >/dev/null
inside sh -c 'cd && cinch-contractive_autoencoder --epochs 1 --images 5000 && test -s out/contractive_autoencoder/filters.png'
echo "$((SECONDS - begin)) seconds"
inside cinch-vae --version

echo "== a program of one's own"
inside sh -c 'apt-get install -q -y --no-install-recommends /tmp/libcinch-dev*.deb g++ make cmake pkg-config' >/dev/null
inside sh -ec '
  mkdir ~/program && cd ~/program
  cp /usr/share/doc/libcinch-dev/examples/05_jacobian.cpp program.cpp
  printf "cmake_minimum_required(VERSION 3.25)\nproject(program LANGUAGES CXX)\nfind_package(cinch REQUIRED)\nadd_executable(program program.cpp)\ntarget_link_libraries(program PRIVATE cinch::cinch)\n" >CMakeLists.txt
  cmake -S . -B build -D CMAKE_BUILD_TYPE=Release >/dev/null && cmake --build build >/dev/null && build/program
  g++ -std=c++20 program.cpp -o by_pkg_config $(pkg-config --cflags --libs cinch) && ./by_pkg_config'

echo "== and they go without a trace"
inside apt-get purge -q -y libcinch-dev cinch-tools 'libcinch0*' >/dev/null
if inside find / -xdev -path /root -prune -o -path /tmp -prune -o -path /var -prune -o -iname '*cinch*' -print | grep .; then exit 1; fi
echo "$suite: installed, trained, compiled, removed"
