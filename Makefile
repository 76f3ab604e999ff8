# make            build the programs into ./bin
# make demo       see the main job done
# make test       run the tests
# make install    DESTDIR and PREFIX are honoured
# make deb        a Debian package
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

OUT         = bin
GO          = go
VERSION     = $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
PROGRAMS    = $(notdir $(wildcard cmd/*))
# Where they are installed: users' programs, those that only other programs start, and the rest.
INBIN       = $(filter mailq newaliases mail,$(PROGRAMS))
INLIBEXEC   = $(filter local drop,$(PROGRAMS))
INSBIN      = $(filter-out $(INBIN) $(INLIBEXEC),$(PROGRAMS))
PAGES       = $(wildcard man/*.[1-8])
LDFLAGS     = -s -w -X main.version=$(VERSION) -X postrider/internal/sibling.Libexec=$(LIBEXECDIR)
# The library for options is left without what writes manual pages: that costs each start half a millisecond.
TAGS        = urfave_cli_no_docs
BUILD       = CGO_ENABLED=0 $(GO) build -trimpath -tags '$(TAGS)' -ldflags '$(LDFLAGS)'
STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    = 10s
BENCHTIME   = 1s

build:
	@mkdir -p $(OUT)
	$(BUILD) -o $(OUT)/ $(PROGRAMS:%=./cmd/%)

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

# Nothing has a set-id bit yet, and nobody owns a spool: "postrider setup --system" is for that.
install: build
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR) $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(DOCDIR) \
		$(DESTDIR)$(UNITDIR)
	install -m 755 $(INSBIN:%=$(OUT)/%) $(DESTDIR)$(SBINDIR)
	install -m 755 $(INBIN:%=$(OUT)/%) $(DESTDIR)$(BINDIR)
	install -m 755 $(INLIBEXEC:%=$(OUT)/%) $(DESTDIR)$(LIBEXECDIR)
	ln -sf $(SBINDIR)/sendmail $(DESTDIR)$(LIBDIR)/sendmail
	ln -sf $(SBINDIR)/sendmail $(DESTDIR)$(BINDIR)/hoststat
	ln -sf $(SBINDIR)/sendmail $(DESTDIR)$(BINDIR)/purgestat
	ln -sf sendmail $(DESTDIR)$(SBINDIR)/runq
	ln -sf $(INSBIN:%=$(SBINDIR)/%) $(INBIN:%=$(BINDIR)/%) $(DESTDIR)$(LIBEXECDIR)
	install -m 644 etc/postrider.toml README.md CHANGES.md SECURITY.md LICENSE $(DESTDIR)$(DOCDIR)
	for file in etc/systemd/*; do sed 's,/usr/local/sbin,$(SBINDIR),; s,/usr/local/libexec/postrider,$(LIBEXECDIR),' $$file >$(DESTDIR)$(UNITDIR)/$${file##*/}; done
	sed 's,/usr/local/sbin,$(SBINDIR),' etc/inetd.conf.example >$(DESTDIR)$(DOCDIR)/inetd.conf.example
	sed 's,/usr/local/sbin,$(SBINDIR),' etc/xinetd/postrider >$(DESTDIR)$(DOCDIR)/xinetd.example
	for page in $(PAGES); do \
		dir=$(DESTDIR)$(MANDIR)/man$${page##*.}; install -d $$dir; install -m 644 $$page $$dir; \
	done

# A Debian package, in DEBDIR: with dpkg-deb, and without anything else that builds packages.
DEBDIR     = bin
DEBROOT    = $(DEBDIR)/deb
DEBARCH    = $(shell dpkg --print-architecture)
DEBDATE    = $(shell git log -1 --format=%cd --date=format:%Y%m%d%H%M 2>/dev/null || echo 0)
DEBVERSION = $(shell echo '$(VERSION)' | sed 's/^v\([0-9]\)/\1/; t tag; s/^/0~$(DEBDATE)./; :tag; s/-/+/g')

deb:
	rm -rf $(DEBROOT)
	$(MAKE) install OUT=$(DEBDIR)/deb.programs DESTDIR=$(DEBROOT) PREFIX=/usr
	cd $(DEBROOT)/usr/share/doc/postrider && mv LICENSE copyright && mv CHANGES.md changelog && gzip -9n changelog
	gzip -9n $(DEBROOT)/usr/share/man/man*/*.[1-8]
	install -D -m 644 etc/debian/postrider.toml $(DEBROOT)/etc/postrider/postrider.toml
	[ ! -e $(DEBROOT)/usr/bin/mail ] || mv $(DEBROOT)/usr/bin/mail $(DEBROOT)/usr/bin/mail.postrider
	install -d $(DEBROOT)/DEBIAN
	install -m 755 etc/debian/postinst etc/debian/prerm etc/debian/postrm $(DEBROOT)/DEBIAN
	install -m 644 etc/debian/conffiles $(DEBROOT)/DEBIAN
	size=$$(du -sk --exclude=DEBIAN $(DEBROOT) | cut -f1); sed "s,@VERSION@,$(DEBVERSION),; s,@ARCH@,$(DEBARCH),; s,@SIZE@,$$size," \
		etc/debian/control >$(DEBROOT)/DEBIAN/control
	cd $(DEBROOT) && find usr -type f | LC_ALL=C sort | xargs md5sum >DEBIAN/md5sums
	chmod -R u+rwX,go+rX,go-w $(DEBROOT)
	dpkg-deb --root-owner-group --build $(DEBROOT) $(DEBDIR)
	rm -rf $(DEBROOT) $(DEBDIR)/deb.programs

# What the image of Containerfile has in it, below DESTDIR, made by root.
MAILGROUP = $(shell awk -F: '$$1 == "postrider" { print $$3 }' etc/container/group)
CERTS     = /etc/ssl/certs/ca-certificates.crt

container-tree: PREFIX = /usr
container-tree: install
	install -d $(DESTDIR)/etc/postrider $(DESTDIR)/etc/ssl/certs $(DESTDIR)/run $(DESTDIR)/root $(DESTDIR)/var/spool $(DESTDIR)/proc \
		$(DESTDIR)/sys $(DESTDIR)/dev
	install -d -m 1777 $(DESTDIR)/tmp $(DESTDIR)/var/tmp $(DESTDIR)/var/mail
	install -d -m 710 -o $(MAILGROUP) -g $(MAILGROUP) $(DESTDIR)/var/spool/postrider
	install -m 644 etc/container/passwd etc/container/group etc/container/aliases $(DESTDIR)/etc
	install -m 644 etc/container/postrider.toml $(DESTDIR)/etc/postrider
	install -m 644 $(CERTS) $(DESTDIR)/etc/ssl/certs
	chown 0:$(MAILGROUP) $(DESTDIR)$(PREFIX)/libexec/postrider/drop
	chmod 2755 $(DESTDIR)$(PREFIX)/libexec/postrider/drop

clean:
	rm -rf bin

.PHONY: build test race fuzz bench lint man interop demo install deb container-tree clean
