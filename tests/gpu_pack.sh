#!/bin/sh
# gpu_pack.sh BUILD FILE.tgz: one archive of a build with all that tests/on_gpu.sh needs on a machine without compilers,
# headers and network: the program, the tests, the libraries that they need, the scripts and their data. `make gpu-pack`
# calls it with a build for any CPU of the architecture. Unpack it and type: sh snug-gpu/tests/on_gpu.sh
set -eu
cd "$(dirname "$0")/.."
[ $# = 2 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 1; }
build=$1 out=$2
for f in snug tests; do
    [ -x "$build/$f" ] || { echo "gpu_pack: no $build/$f: type  make gpu-pack" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
top=$work/snug-gpu
mkdir -p "$top/build" "$top/lib" "$top/lib-if-missing" "$top/tests"

cp "$build/snug" "$build/tests" "$build"/preload_*.so "$top/build/"
strip -g "$top/build"/* # half of it is for debuggers; what is left names functions still

# What ldd names, by need: glibc has to be the machine's own; so have the two of the compiler, unless they are missing
# or too old, since drivers link them too; no OpenCL driver comes along, but the library that finds drivers does.
ldd "$build/snug" "$build/tests" | awk '$2 == "=>" && $3 ~ /^\// { print $3 } / => not found/ { print $1; bad = 1 }
    END { exit bad }' | sort -u >"$work/libraries" || { cat "$work/libraries" >&2; exit 1; }
while read -r library; do
    case ${library##*/} in
    libc.so* | libm.so* | libdl.so* | libpthread.so* | librt.so* | ld-linux*) ;;
    libstdc++.so* | libgcc_s.so*) cp -L "$library" "$top/lib-if-missing/" ;;
    *) cp -L "$library" "$top/lib/" ;;
    esac
done <"$work/libraries"

cp tests/*.sh tests/*.py tests/*.txt "$top/tests/"
cp -R tests/golden "$top/tests/"
mkdir "$top/data"
cp -R data/configs "$top/data/"
"$build/snug" version >"$top/VERSION"
cp LICENSE "$top/"

mkdir -p "$(dirname "$out")"
tar czf "$out" -C "$work" --owner=0 --group=0 snug-gpu
echo "$out: $(($(wc -c <"$out") / 1000000)) MB; unpack it there and type  sh snug-gpu/tests/on_gpu.sh"
