#!/bin/sh
# Prints the milliseconds from `make run` to the first 201.
cd "$(dirname "$0")/.." || exit 1
folder=$(mktemp -d)
port=28765
export HTTP_PORT=$port DATA_DIR="$folder" STORAGE_URL="sqlite:$folder/hushbox.db"
started=$(date +%s%N)
make run >/dev/null 2>&1 &
make=$!
until curl -sf -o /dev/null "http://127.0.0.1:$port/generate" -d '{"secret":"s"}'; do sleep 0.01; done
echo $(( ($(date +%s%N) - started) / 1000000 ))
kill $make
wait $make 2>/dev/null
rm -rf "$folder"
