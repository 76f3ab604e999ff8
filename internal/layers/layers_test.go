// Package layers holds the structure of the module to its design: each layer imports only those above it, and
// what starts for every message stays light.
package layers

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "postrider/"

// layer tells in which layer a package is, and which modules beside the standard library it may import. The
// first two layers hold what the others share, so what they import is kept to the least.
type layer struct {
	n    int
	libs []string
}

var layers = map[string]layer{
	"internal/address": {0, []string{"golang.org/x/net/idna"}},
	"internal/status":  {0, nil},
	"internal/sibling": {0, nil},
	"internal/fsys":    {0, []string{"github.com/gofrs/flock", "golang.org/x/sys"}},
	"internal/cdb":     {0, nil},

	"internal/config":  {1, []string{"github.com/BurntSushi/toml"}},
	"internal/maillog": {1, nil},
	"queue":            {1, []string{"golang.org/x/sys"}}, // inotify
	"compat":           {1, nil},
	"compat/foreign":   {1, nil},
	"aliases":          {1, nil},
	"internal/access":  {1, nil},
	"internal/table":   {1, nil},
	"internal/mailbox": {1, []string{"golang.org/x/sys"}},
	"internal/dns":     {1, []string{"github.com/miekg/dns"}},

	"internal/submit":     {2, nil},
	"internal/mailq":      {2, nil},
	"internal/drop":       {2, nil},
	"internal/newaliases": {2, nil},
	"internal/smtp":       {2, []string{"github.com/emersion/go-sasl"}},
	"internal/route":      {2, nil},
	"internal/dsn":        {2, []string{"github.com/emersion/go-message"}},
	"internal/local":      {2, []string{"golang.org/x/sys"}}, // close_range
	"internal/rights":     {2, nil},
	"internal/auth":       {2, []string{"github.com/xdg-go/scram", "github.com/xdg-go/stringprep", "golang.org/x/crypto"}},
	"internal/smtpd":      {2, nil},

	"internal/queuerun":     {3, nil},
	"internal/policy":       {3, nil},
	"internal/local/server": {3, []string{"golang.org/x/sys"}},

	"internal/demo":  {4, []string{"github.com/emersion/go-smtp"}},
	"cmd/sendmail":   {4, nil},
	"cmd/drop":       {4, nil},
	"cmd/newaliases": {4, nil},
	"cmd/mailq":      {4, []string{"github.com/urfave/cli/v2"}},
	"cmd/queuerun":   {4, []string{"github.com/urfave/cli/v2"}},
	"cmd/local":      {4, []string{"github.com/urfave/cli/v2", "golang.org/x/sys"}},
	"cmd/smtpd":      {4, []string{"github.com/urfave/cli/v2", "golang.org/x/net/netutil", "golang.org/x/sys"}},
	"cmd/postrider":  {4, []string{"github.com/urfave/cli/v2", "golang.org/x/term", "golang.org/x/sys", "github.com/BurntSushi/toml"}},
}

// sideways are edges within a layer.
var sideways = []string{
	"internal/access internal/table", // the lines of a table
	"internal/smtpd internal/auth",   // who a client is
	"internal/smtpd internal/submit", // what completes the header of a submission
}

type goPackage struct {
	ImportPath string
	Standard   bool
	GoFiles    []string
	Imports    []string
}

// list runs go list over the module's packages, for all platforms' files that this one builds.
func list(t *testing.T, args ...string) (pkgs []goPackage) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,GoFiles,Imports"}, args...)...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as the programs are built
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); err == io.EOF {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestEachLayerImportsOnlyThoseAboveIt(t *testing.T) {
	std := map[string]bool{}
	for _, p := range list(t, "-deps", "./...") {
		std[p.ImportPath] = p.Standard
	}
	for _, p := range list(t, "./...") {
		name := strings.TrimPrefix(p.ImportPath, module)
		if len(p.GoFiles) == 0 {
			continue // tests only
		}
		from, ok := layers[name]
		if !ok {
			t.Errorf("%s belongs to no layer", name)
			continue
		}
		for _, imp := range p.Imports {
			if std[imp] || imp == "C" {
				continue
			}
			if !allowed(name, from, imp) {
				t.Errorf("%s (layer %d) imports %s", name, from.n, imp)
			}
		}
	}
}

func allowed(name string, from layer, imp string) bool {
	if own, ok := strings.CutPrefix(imp, module); ok {
		to, ok := layers[own]
		return ok && (to.n < from.n || slices.Contains(sideways, name+" "+own))
	}
	return slices.ContainsFunc(from.libs, func(lib string) bool { return imp == lib || strings.HasPrefix(imp, lib+"/") })
}

func TestSendmailStaysLight(t *testing.T) {
	for _, p := range list(t, "-deps", "./cmd/sendmail") {
		for _, heavy := range []string{"net", "net/http", "crypto/tls", "github.com/urfave/cli/v2", "github.com/emersion/go-smtp", "runtime/cgo"} {
			if p.ImportPath == heavy {
				t.Errorf("sendmail links %s", heavy)
			}
		}
	}
}

// The program with the set-id bit has in it what it needs and nothing else.
func TestDropStaysSmall(t *testing.T) {
	ours := []string{"postrider/cmd/drop", "postrider/internal/drop", "postrider/queue", "postrider/internal/fsys", "postrider/internal/status"}
	for _, p := range list(t, "-deps", "./cmd/drop") {
		name := p.ImportPath
		for _, much := range []string{"net", "os/exec", "os/user", "crypto", "encoding/json", "encoding/gob", "plugin", "text/template", "regexp", "log/syslog", "runtime/cgo"} {
			if p.Standard && (name == much || strings.HasPrefix(name, much+"/")) {
				t.Errorf("drop links %s", name)
			}
		}
		if !p.Standard && !slices.Contains(ours, name) && name != "golang.org/x/sys/unix" && name != "github.com/gofrs/flock" {
			t.Errorf("drop links %s", name)
		}
	}
}
