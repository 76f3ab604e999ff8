# make            build the programs into ./bin
# make demo       see the main job done
# make test       run the tests
# make install    DESTDIR and PREFIX are honoured
# The other targets are in README.md.

PREFIX     = /usr/local
SBINDIR    = $(PREFIX)/sbin
BINDIR     = $(PREFIX)/bin
LIBDIR     = $(PREFIX)/lib
LIBEXECDIR = $(PREFIX)/libexec/postrider
MANDIR     = $(PREFIX)/share/man
DOCDIR     = $(PREFIX)/share/doc/postrider
UNITDIR    = $(PREFIX)/lib/systemd/system
DESTDIR    =

GO          = go
VERSION     = $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
PROGRAMS    = sendmail mailq newaliases queuerun smtpd local postrider
PAGES       = $(wildcard man/*.[1-8])
LDFLAGS     = -s -w -X main.version=$(VERSION) -X postrider/internal/sibling.Libexec=$(LIBEXECDIR)
# The library for options is left without what writes manual pages: that costs each start half a millisecond.
TAGS        = urfave_cli_no_docs
BUILD       = CGO_ENABLED=0 $(GO) build -trimpath -tags '$(TAGS)' -ldflags '$(LDFLAGS)'
STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    = 10s
BENCHTIME   = 1s

build:
	@mkdir -p bin
	$(BUILD) -o bin/ $(PROGRAMS:%=./cmd/%)

test:
	$(GO) test ./...

race:
	$(GO) test -race -shuffle=on ./...

# Every fuzz target in turn, FUZZTIME each.
fuzz:
	@set -e; for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "== $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$pkg; \
		done; \
	done

bench: build
	$(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) ./...

lint: man
	@out=$$(gofmt -l .); [ -z "$$out" ] || { echo "gofmt would change: $$out"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags interop ./...
	$(STATICCHECK) ./...

# The manual pages are written by hand; this checks them.
man:
	@command -v mandoc >/dev/null || { echo "man: mandoc is not installed"; exit 1; }
	mandoc -T lint -W warning $(PAGES)

interop: build
	$(GO) test -count=1 -tags interop ./internal/interop

demo: build
	$(GO) run ./internal/demo -bin bin

install: build
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR) $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(DOCDIR) \
		$(DESTDIR)$(UNITDIR)
	install -m 755 bin/sendmail bin/queuerun bin/smtpd bin/postrider $(DESTDIR)$(SBINDIR)
	install -m 755 bin/mailq bin/newaliases $(DESTDIR)$(BINDIR)
	install -m 755 bin/local $(DESTDIR)$(LIBEXECDIR)
	ln -sf $(SBINDIR)/sendmail $(DESTDIR)$(LIBDIR)/sendmail
	ln -sf $(SBINDIR)/sendmail $(SBINDIR)/queuerun $(SBINDIR)/smtpd $(BINDIR)/mailq $(BINDIR)/newaliases $(DESTDIR)$(LIBEXECDIR)
	install -m 644 etc/postrider.toml $(DESTDIR)$(DOCDIR)
	for file in etc/systemd/*; do sed 's,/usr/local/sbin,$(SBINDIR),; s,/usr/local/libexec/postrider,$(LIBEXECDIR),' $$file >$(DESTDIR)$(UNITDIR)/$${file##*/}; done
	sed 's,/usr/local/sbin,$(SBINDIR),' etc/inetd.conf.example >$(DESTDIR)$(DOCDIR)/inetd.conf.example
	sed 's,/usr/local/sbin,$(SBINDIR),' etc/xinetd/postrider >$(DESTDIR)$(DOCDIR)/xinetd.example
	for page in $(PAGES); do \
		dir=$(DESTDIR)$(MANDIR)/man$${page##*.}; install -d $$dir; install -m 644 $$page $$dir; \
	done

clean:
	rm -rf bin

.PHONY: build test race fuzz bench lint man interop demo install clean
