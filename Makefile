# SPDX-License-Identifier: GPL-2.0-or-later
#
# Every target brings about what it needs, so that each works alone in a fresh
# clone. The work is done by scripts/.

SHELL := /bin/bash
export QEMU_SRC FULL FORCE LONG FUZZ
# BUILD is the user's word for it; the environment of configure keeps free of it.
unexport BUILD
export BUILD_VARIANT := $(or $(BUILD),default)
override MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help deps prepare build build-asan check check-quick check-field check-unit \
	check-qtest check-asan check-asan-all check-series check-guest check-mec \
	check-firmware check-fuzz check-explore check-cache-mutants \
	check-litmus check-time-long check-fault check-fault-long check-volumes \
	check-volumes-long check-iommu check-smmu \
	check-kernels \
	check-plug check-plug-long check-fabric check-kcrypto check-kcrypto-long \
	check-cache-id-long check-cbit check-cbit-alias-long check-mec-long \
	check-mutants check-driver-mutants demo demo-mec demo-cbit run bench \
	refresh series clean distclean

help:
	@echo 'Use it:'
	@echo '  make demo          LUKS on cxl-type1-crypto in a Linux guest, end to end'
	@echo '  make run           a shell in such a guest'
	@echo '  make demo-mec      FEAT_MEC: contexts, mismatch, a recycled granule'
	@echo '  make demo-cbit     pages of a confidential guest, and who flushes what when they go'
	@echo '  make build         build/bin/qemu-system-{x86_64,aarch64}'
	@echo '  make bench         measure; results in build/bench/results.json'
	@echo 'Test it:'
	@echo '  make check         all tests'
	@echo '  make check-quick   what needs no QEMU, under a minute'
	@echo '  make check-field   the scripts where they meet other machines, such as mirrors'
	@echo '  make check-unit | check-qtest | check-asan | check-series | check-guest'
	@echo '  make check-asan-all  ... with sanitizers in all of QEMU, not only in what we touch'
	@echo '  make check-iommu   the device behind an intel-iommu or a virtio-iommu'
	@echo '  make check-smmu    the device behind an SMMUv3, in an arm64 guest'
	@echo '  make check-kernels  guests with Linux 6.12 and the newest there is; minutes'
	@echo '  make check-plug    plugged into a slot that was empty at boot; SeaBIOS and OVMF'
	@echo '  make check-plug-long  ... with caches of more sizes'
	@echo '  make check-fabric  four accelerators, a switch, and its fabric manager in the guest'
	@echo '  make check-kcrypto  the guest'\''s driver, tested by a module in its kernel'
	@echo '  make check-kcrypto-long  ... for many minutes'
	@echo '  make check-cache-id-long  16 devices below switches, random accesses'
	@echo '  make check-cbit    what make demo-cbit shows, tested, with each policy and mode'
	@echo '  make check-cbit-alias-long  lines under two encryption contexts, likewise'
	@echo '  make check-litmus  CPUs and devices on the same lines; LITMUS_SCALE=percent'
	@echo '  make check-time-long  ... ten million operations on links with time'
	@echo '  make check-fault   the device fails and goes away under a LUKS volume; FAULTS=N'
	@echo '  make check-fault-long  ... 500 times'
	@echo '  make check-volumes  what else is done with volumes, while the device fails'
	@echo '  make check-mec     FEAT_MEC on a bare machine; LONG=1: a minute of stress'
	@echo '  make check-mec-long  100,000 granules recycled where caches remember'
	@echo '  make check-firmware  TF-A with RME, a device and an arm64 kernel, with MEC and without'
	@echo '  make check-explore  search larger state spaces of CXL.cache; minutes'
	@echo '  make check-fuzz    libFuzzer against CXL.cache; FUZZ=seconds'
	@echo '  make check-mutants  break the device line by line; each must be caught'
	@echo '  make check-cache-mutants  likewise CXL.cache; needs no QEMU'
	@echo '  make check-driver-mutants  likewise the guest'\''s driver; an hour'
	@echo 'Work on it:'
	@echo '  make prepare       build/qemu: the base, patches/ as commits, our files linked in'
	@echo '  make refresh       commits of build/qemu -> patches/'
	@echo '  make series OUT=dir  the complete series, ready to mail'
	@echo '  make check-series FULL=1  ... and build every patch of it'
	@echo '  make build-asan    emulator with address and undefined-behaviour checks of our code'
	@echo '  make clean         remove what was built'
	@echo '  make distclean     remove build/ but for the downloads'
	@echo 'Settings: QEMU_SRC=/path  another QEMU 11.1 tree as the base (copied)'
	@echo '          BUILD=asan      build with make build BUILD=asan; asan-all'
	@echo '          KERNEL=6.12     the guest'\''s Linux: 6.1 (default), 6.12, 7.2, 7.3, newest'
	@echo '          SECTOR=512      the demo'\''s disk: 512 or 4096 (default)'

deps:
	@scripts/deps.sh build run

prepare: deps
	@scripts/prepare.sh

build: prepare
	@scripts/build.sh

build-asan: prepare
	@BUILD_VARIANT=asan scripts/build.sh

deps-guest deps-arm64 deps-mec deps-quick deps-fuzz deps-check:
	@scripts/deps.sh $(@:deps-%=%)

check-quick:
	@scripts/check.sh quick

check-field:
	@scripts/check.sh field

check-explore:
	@scripts/check.sh explore

check-fuzz: deps-fuzz
	@scripts/check.sh fuzz

check-unit: prepare
	@scripts/check.sh unit

check-qtest: prepare
	@scripts/check.sh qtest

check-asan: prepare
	@scripts/check.sh asan

check-asan-all: prepare
	@scripts/check.sh asan-all

check-series: prepare
	@scripts/check.sh series

check-guest: build deps-guest
	@scripts/check.sh guest

check-iommu: build deps-guest
	@scripts/check.sh iommu

check-smmu: build deps-arm64
	@scripts/check.sh smmu

check-kernels: build deps-arm64
	@scripts/check.sh kernels-all

check-cache-id-long: build
	@scripts/check.sh cacheid

check-cbit: build deps-guest
	@CBIT=--all scripts/check.sh cbit

check-cbit-alias-long: build
	@scripts/check.sh cbitalias

check-plug: build deps-guest
	@scripts/check.sh plug

check-plug-long: build deps-guest
	@PLUG=--long scripts/check.sh plug

check-fabric: build deps-guest
	@scripts/check.sh fabric

check-kcrypto: build deps-guest
	@scripts/check.sh kcrypto

check-kcrypto-long: build deps-guest
	@KCRYPTO=--long scripts/check.sh kcrypto

check-litmus: build deps-guest
	@scripts/check.sh litmus

check-time-long: build deps-guest
	@scripts/check.sh timelong

check-fault: build deps-guest
	@scripts/check.sh fault

check-fault-long: build deps-guest
	@FAULTS=$(or $(FAULTS),500) scripts/check.sh fault

check-volumes: build deps-guest
	@scripts/check.sh volumes

check-volumes-long: build deps-guest
	@VOLUMES=--long scripts/check.sh volumes

check-mec: build
	@scripts/check.sh mec

check-mec-long: build deps-mec
	@ONLY=cycle ROUNDS=$${ROUNDS:-100000} LIMIT=600 scripts/mec/check.sh

check-firmware: build deps-mec
	@scripts/check.sh firmware

check: deps-check prepare
	@scripts/check.sh quick field fuzz build unit qtest mec asan guests litmus fault

demo: build deps-guest
	@scripts/guest/demo.sh

demo-mec: build
	@scripts/mec/demo.sh

demo-cbit: build deps-guest
	@scripts/guest/cbit.sh

run: build deps-guest
	@scripts/guest/run.sh

bench: build deps-guest deps-mec
	@scripts/guest/bench.sh
	@scripts/mec/bench.sh
	@scripts/bench-cache.sh
	@scripts/bench-watch.py

refresh:
	@scripts/refresh.sh

series: prepare
	@test -n '$(OUT)' || { echo 'usage: make series OUT=dir' >&2; exit 1; }
	@scripts/series.sh '$(OUT)'

# build/qemu itself may hold commits: distclean asks patches/ first.
check-mutants: build
	@scripts/mutate.py

check-driver-mutants: build deps-guest
	@scripts/guest/mutate-driver.py

check-cache-mutants: deps-quick
	@scripts/mutate-cache.py

clean:
	rm -rf build/bin build/log build/check build/quick build/series build/demo \
		build/bench build/fuzz build/mutants build/guest-check build/mec build/run build/fault build/qemu/build build/qemu/build-asan build/qemu/build-asan-all

distclean:
	@scripts/distclean.sh
