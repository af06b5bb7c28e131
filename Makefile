# The front door. What CI runs is what a person runs: `make check test`.
CARGO ?= cargo
# Debian's zsh reads /usr/share/zsh/vendor-completions.
ZSH_COMPLETIONS ?= /usr/share/zsh/site-functions
# A Linux target with glibc.
STATIC_TARGET ?= $(shell rustc -vV | sed -n 's/^host: //p')

.DEFAULT_GOAL := build

.PHONY: help run demo build static image check fmt lint docs test test-systemd test-containers fuzz soak setup bench bench-recovery deny sbom dist install clean

help: ## say what there is
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## see a tunnel made, broken and healed, on loopback
	$(CARGO) run --release --locked --bin tunneld -- demo

run: ## run the daemon: make run CONFIG=tunneld.toml
	$(CARGO) run --release --locked --bin tunneld -- --config $(or $(CONFIG),/etc/tunneld.toml)

build: ## the release binary, target/release/tunneld
	$(CARGO) build --release --locked --bin tunneld

# --target: the flags are for the program, not for what its build runs.
static: ## the release binary without shared libraries, target/static/tunneld: for containers, and for systems with another libc
	mkdir -p target/static
	$(CC) -O2 -Wall -Werror -c packaging/static/name_service.c -o target/static/name_service.o
	RUSTFLAGS="$(RUSTFLAGS) -C target-feature=+crt-static -C link-arg=target/static/name_service.o" \
		$(CARGO) build --release --locked --target $(STATIC_TARGET) --bin tunneld
	install -m755 target/$(STATIC_TARGET)/release/tunneld target/static/tunneld

# Any of buildah, podman and docker; the build runs no command.
IMAGE_TOOL ?= $(firstword $(foreach tool,buildah podman docker,$(if $(shell command -v $(tool)),$(tool))))
IMAGE ?= localhost/tunneld
image: static ## the container image $(IMAGE), from scratch
	mkdir -p target/image
	packaging/container/rootfs > target/image/rootfs.tar
	install -m755 target/static/tunneld target/image/tunneld
	$(IMAGE_TOOL) build $(if $(filter docker,$(IMAGE_TOOL)),,--format docker) -t $(IMAGE) -f packaging/container/Containerfile target/image

check: fmt lint docs ## formatting, clippy, docs: warnings are errors

fmt:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --document-private-items

setup: ## install what the tests need beside cargo (Debian), or say what is missing
	./tests/setup

test: setup ## all tests, real sshd and dropbear included
	$(CARGO) build --workspace --locked
	$(CARGO) test --workspace --locked

.PHONY: test-algorithms
test-algorithms: setup ## every algorithm with every server, 64 MiB each way in each (half an hour); make test does the same with less
	$(CARGO) build --workspace --locked
	TUNNELD_TEST_ALGORITHMS=full $(CARGO) test --locked -p tunneld-tests --test interop algorithms:: -- --nocapture

test-systemd: ## the unit files under a real systemd, booted in namespaces (root; a minute)
	$(CARGO) build --workspace --locked
	./tests/systemd/run

.PHONY: test-packages
test-packages: dist static ## packages in a fresh Debian: installed, upgraded under a tunnel, removed (root; tests/packages/run says what it needs)
	./tests/packages/run

# New inputs go below target/, beside the kept corpus. cargo-fuzz needs flags that stable has only with RUSTC_BOOTSTRAP.
FUZZ_SECONDS ?= 60
fuzz: ## each fuzz target for FUZZ_SECONDS (60), from the kept corpus (needs cargo-fuzz)
	cd fuzz && for target in $$(ls corpus); do \
		mkdir -p target/corpus/$$target && RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --fuzz-dir . -s none $$target \
			target/corpus/$$target corpus/$$target -- -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -timeout=10 || exit 1; \
	done

test-containers: static ## the image, the Kubernetes examples and the lease, with buildah, podman and etcd (root; two minutes)
	$(CARGO) build --workspace --locked
	python3 -m venv target/venv
	target/venv/bin/pip install --quiet kubernetes-validate==1.37.0
	target/venv/bin/python tests/containers/run

soak: build ## six tunnels under traffic and a fault each ten seconds, for SOAK_SECONDS (1200)
	python3 tests/soak/soak.py

bench: build ## tunneld against ssh: throughput, CPU, latency, memory
	python3 tests/bench/against_ssh.py

bench-recovery: build ## tunneld against autossh and ssh in a loop, after faults (root; a quarter of an hour)
	python3 tests/bench/recovery.py

deny: ## licences, advisories, duplicates (needs cargo-deny)
	$(CARGO) deny check

# Folders' names get into messages of panics and into debug information. Mapped away, the same source gives the same bytes in any.
CARGO_FOLDER = $(realpath $(or $(CARGO_HOME),$(HOME)/.cargo))
dist static: export RUSTFLAGS := $(RUSTFLAGS) --remap-path-prefix=$(CURDIR)=/tunneld --remap-path-prefix=$(CARGO_FOLDER)=/cargo
dist static: export CFLAGS := $(CFLAGS) -ffile-prefix-map=$(CURDIR)=/tunneld -ffile-prefix-map=$(CARGO_FOLDER)=/cargo

dist: ## the release binary as packages have it, and its debug information in target/dist/tunneld.debug
	$(CARGO) build --profile dist --locked --bin tunneld
	cd target/dist && objcopy --only-keep-debug --compress-debug-sections tunneld tunneld.debug && \
		objcopy --strip-all --add-gnu-debuglink=tunneld.debug tunneld

sbom: ## the release's bill of materials, target/sbom/ (needs cargo-cyclonedx)
	mkdir -p target/sbom
	cd crates/supervisor && $(CARGO) cyclonedx --format json --all --override-filename tunneld.cdx
	mv crates/supervisor/tunneld.cdx.json target/sbom/
	rm -f crates/tunnel-engine/tunneld.cdx.json tests/tunneld.cdx.json

# It builds only where nothing is built yet: cargo is often not in sudo's PATH.
target/release/tunneld:
	$(MAKE) build

install: target/release/tunneld ## the binary, manual pages, completions, documents, the systemd units and their user, below $(DESTDIR)
	$(MAKE) lay-out BINARY=target/release/tunneld

.PHONY: lay-out
# What `make install` and packages put in place. BINARY runs here, to print its completions.
lay-out:
	install -Dm755 $(BINARY) $(DESTDIR)/usr/bin/tunneld
	install -Dm644 -t $(DESTDIR)/usr/share/man/man1 packaging/man/*.1
	install -Dm644 -t $(DESTDIR)/usr/share/man/man5 packaging/man/*.5
	install -Dm644 -t $(DESTDIR)/usr/share/man/man8 packaging/man/*.8
	install -d $(DESTDIR)/usr/share/bash-completion/completions $(DESTDIR)$(ZSH_COMPLETIONS) $(DESTDIR)/usr/share/fish/vendor_completions.d
	$(BINARY) completions bash > $(DESTDIR)/usr/share/bash-completion/completions/tunneld
	$(BINARY) completions zsh > $(DESTDIR)$(ZSH_COMPLETIONS)/_tunneld
	$(BINARY) completions fish > $(DESTDIR)/usr/share/fish/vendor_completions.d/tunneld.fish
	install -Dm644 systemd/tunneld.sysusers $(DESTDIR)/usr/lib/sysusers.d/tunneld.conf
	install -Dm644 systemd/tunneld.tmpfiles $(DESTDIR)/usr/lib/tmpfiles.d/tunneld.conf
	install -Dm644 systemd/tunneld.service $(DESTDIR)/usr/lib/systemd/system/tunneld.service
	install -Dm644 systemd/tunneld@.service $(DESTDIR)/usr/lib/systemd/system/tunneld@.service
	install -Dm644 systemd/user/tunneld.service $(DESTDIR)/usr/lib/systemd/user/tunneld.service
	install -Dm644 -t $(DESTDIR)/usr/share/doc/tunneld docs/*.md docs/*.json CHANGELOG.md SECURITY.md
	install -Dm644 -t $(DESTDIR)/usr/share/doc/tunneld/tutorial docs/tutorial/*.md
	sed -E -i -f packaging/installed-docs.sed $(DESTDIR)/usr/share/doc/tunneld/*.md $(DESTDIR)/usr/share/doc/tunneld/tutorial/*.md
	install -Dm644 -t $(DESTDIR)/usr/share/doc/tunneld/pictures docs/pictures/*.svg docs/pictures/*.png
	install -Dm644 -t $(DESTDIR)/usr/share/doc/tunneld/examples packaging/tunneld.toml systemd/examples/*
	install -Dm755 -t $(DESTDIR)/usr/share/doc/tunneld/examples packaging/lease/tunneld-lease
	install -Dm644 -t $(DESTDIR)/usr/share/doc/tunneld/examples packaging/lease/lease.conf packaging/kubernetes/*.yaml
	install -Dm644 packaging/prometheus/tunneld.rules.yml $(DESTDIR)/usr/share/doc/tunneld/examples/prometheus-rules.yml
	install -Dm644 packaging/grafana/tunneld.json $(DESTDIR)/usr/share/doc/tunneld/examples/grafana-dashboard.json
# Not executable here: rpm takes the interpreter of an executable script, /sbin/openrc-run, for something that the package requires.
	install -Dm644 -t $(DESTDIR)/usr/share/doc/tunneld/examples/openrc packaging/openrc/*
	install -Dm644 -t $(DESTDIR)/usr/share/doc/tunneld/examples/openwrt packaging/openwrt/tunneld.init

# Packages have the binary of `make dist`, the archive that of `make static`; or one that is named: make deb BINARY=...
ifndef BINARY
target/package/deb target/package/rpm: dist
target/package/archive: static
endif
target/package/archive: packaged = $(or $(BINARY),target/static/tunneld)
target/package/deb target/package/rpm: packaged = $(or $(BINARY),target/dist/tunneld)
VERSION ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
MAINTAINER ?= $(shell git log -1 --format='%an <%ae>')
# The time that all files in packages and archives have.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

.PHONY: deb rpm tarball target/package/deb target/package/rpm target/package/archive
deb: target/package/deb ## target/debian/*.deb: tunneld, and tunneld-autossh, with which /usr/bin/autossh is tunneld (needs cargo-deb)
	gzip -9nc CHANGELOG.md > $</usr/share/doc/tunneld/changelog.gz && rm $</usr/share/doc/tunneld/CHANGELOG.md
	printf 'tunneld (%s-1) unstable; urgency=medium\n\n  * See changelog.gz beside this file.\n\n -- %s  %s\n' \
		'$(VERSION)' '$(MAINTAINER)' "$$(date -uRd @$(SOURCE_DATE_EPOCH))" > target/package/changelog
	cd crates/supervisor && $(CARGO) deb --no-build --no-strip --maintainer '$(MAINTAINER)' --deb-version $(VERSION)-1
	cd crates/supervisor && $(CARGO) deb --no-build --no-strip --maintainer '$(MAINTAINER)' --deb-version $(VERSION)-1 --variant autossh

rpm: target/package/rpm ## target/generate-rpm/*.rpm: the same two (needs cargo-generate-rpm)
	install -Dm644 -t $</usr/share/doc/tunneld LICENSE-MIT LICENSE-APACHE
	$(CARGO) generate-rpm -p crates/supervisor -s 'version = "$(VERSION)"'
	install -D $</usr/share/man/man1/tunneld-autossh.1.gz target/package/rpm-autossh/autossh.1.gz
	$(CARGO) generate-rpm -p crates/supervisor --variant autossh -s 'version = "$(VERSION)"'

archive = tunneld-$(VERSION)-$(shell uname -m)-linux
tarball: target/package/archive ## target/archive/*.tar.gz: a binary without shared libraries, and all that belongs to it, to unpack in /
	install -Dm644 -t $</usr/share/doc/tunneld LICENSE-MIT LICENSE-APACHE
	mkdir -p target/archive
	tar -C $< --transform 's,^\.,$(archive),' --sort=name --owner=0 --group=0 --numeric-owner --mtime=@$(SOURCE_DATE_EPOCH) \
		--mode=go+rX,go-w -cf - . | gzip -9n > target/archive/$(archive).tar.gz

target/package/deb: ZSH_COMPLETIONS = /usr/share/zsh/vendor-completions
target/package/deb target/package/rpm target/package/archive:
	rm -rf $@
	$(MAKE) lay-out DESTDIR=$@ BINARY=$(packaged) ZSH_COMPLETIONS=$(ZSH_COMPLETIONS)
	packaging/third-party-licences | gzip -9n > $@/usr/share/doc/tunneld/THIRD-PARTY-LICENSES.gz
	gzip -9n $@/usr/share/man/man*/*

clean:
	$(CARGO) clean
