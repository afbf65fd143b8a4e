#!/bin/sh
# The demo's bundle and recorded parts from nothing: render, train, evaluate, export, verify.
# Needs about 20 minutes on two cores; every step says what it does and can be interrupted.
set -eu
cd "$(dirname "$0")/../.."
PARTS=runs/parts
RUN=runs/demo
BUNDLE=tools/demo/housing.bundle

if [ ! -d "$PARTS/foreground" ]; then
    python tools/render_parts.py "$PARTS" --train 240 --test-normal 80 --test-defective 80 --size 256 --seed 7 \
        --foreground
fi
edgeflow train export/recipes/fast.yaml -o "$RUN"
edgeflow evaluate "$RUN/checkpoint.safetensors"
# A bundle is never replaced by export: the new one takes the old one's place after it was verified.
rm -f "$RUN/housing.bundle"
edgeflow export "$RUN/checkpoint.safetensors" -o "$RUN/housing.bundle"
edgeflow verify "$RUN/housing.bundle"
mv -f "$RUN/housing.bundle" "$BUNDLE"
PYTHONPATH=tools python -m demo.pick_parts "$PARTS" tools/demo/parts --normal 24 --defective 24
du -h "$BUNDLE" tools/demo/parts | tail -2
