package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"postrider/internal/sibling"
)

// TestMain makes the test binary the program itself when it is called by its name. Then the other programs are in
// $LIBEXEC.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "newaliases" {
		sibling.Libexec = os.Getenv("LIBEXEC")
		main()
	}
	os.Exit(m.Run())
}

func TestScripts(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			work := env.WorkDir
			conf := "hostname = \"mail.example.org\"\naliases = [\"" + work + "/aliases\"]\n"
			env.Setenv("PATH", work+"/bin:"+os.Getenv("PATH"))
			env.Setenv("LIBEXEC", work+"/libexec")
			env.Setenv("POSTRIDER_CONFIG", work+"/postrider.toml")
			return errors.Join(os.Mkdir(work+"/bin", 0o755), os.Mkdir(work+"/libexec", 0o755), os.Symlink(self, work+"/bin/newaliases"),
				os.WriteFile(work+"/postrider.toml", []byte(conf), 0o644))
		},
		Condition: func(string) (bool, error) { return os.Getuid() == 0, nil }, // [root]
		Cmds:      map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits CODE PROGRAM ARG... proves an exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%s: exit status %d, want %s", args[1], code, args[0])
	}
}
