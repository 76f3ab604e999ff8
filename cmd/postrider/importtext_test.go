package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postrider/compat/foreign"
	"postrider/internal/config"
)

// secretPlaces are configurations with a password, s3cret, where each system has it, and where it should not stand.
var secretPlaces = [][]string{
	{"postfix", "etc/postfix/main.cf", "relayhost=[a.example]:587\nsmtp_sasl_auth_enable=yes\nsmtp_sasl_password_maps=hash:/p\n", "p", "[a.example]:587 me:s3cret\nb.example s3cret\n[a.example]:u:s3cret\nx@y.example s3cret\n"},
	{"postfix", "etc/postfix/main.cf", "relayhost=a.example\nsmtp_sasl_auth_enable=yes\nsmtp_sasl_password_maps=hash:/p\n", "p", "a.example me s3cret\n"},
	{"postfix", "etc/postfix/main.cf", "relayhost=a.example\nsmtp_sasl_auth_enable=yes\nsmtp_sasl_password_maps=s3cret, me:s3cret\nsmtp_sasl_password=s3cret\n"},
	{"postfix", "etc/postfix/main.cf", "relayhost=a.example:me:s3cret\n"},
	{"postfix", "etc/postfix/main.cf", "smtp_sasl_auth_enable=yes\nsmtp_sender_dependent_authentication=yes\nsmtp_sasl_password_maps=hash:/p\nsender_dependent_relayhost_maps=hash:/s\n", "s", "a@b.example [c.example]:587\n", "p", "a@b.example me:s3cret\nx@y:s3cret a:b\n"},
	{"sendmail", "etc/mail/sendmail.mc", "define(`SMART_HOST',`[a.example]')\nFEATURE(`authinfo')\n", "etc/mail/authinfo", "AuthInfo:b.example\"U:me\"\"P:s3cret\"\nAuthInfo:a.example \"U:me\" \"P:s3cret\"\n"},
	{"sendmail", "etc/mail/sendmail.mc", "define(`SMART_HOST',`[a.example]')\nFEATURE(`authinfo')\n", "etc/mail/authinfo", "AuthInfo:a.example \"U:me s3cret\" \"P:x\"\n"},
	{"exim", "etc/exim4/update-exim4.conf.conf", "dc_eximconfig_configtype=smarthost\ndc_smarthost=a.example\n", "etc/exim4/passwd.client", "s3cret:a:b\nb:me:s3cret\na.example me s3cret\na.example:me:s3cret\n"},
	{"dma", "etc/dma/dma.conf", "SMARTHOST a.example\nAUTHPATH /etc/dma/auth.conf\nPASSWORD=s3cret\n", "etc/dma/auth.conf", "s3cret\nme|s3cret:x\nme|a.example:s3cret\n"},
	{"nullmailer", "etc/nullmailer/remotes", "a.example smtp --user me --pass s3cret --s3cret s3cret\nb.example --pass=s3cret\n"},
	{"ssmtp", "etc/ssmtp/ssmtp.conf", "mailhub=a.example\nAuthUser=me\nAuthPass=s3cret\nAuthPass s3cret\nPass:s3cret=x\n"},
	{"msmtp", "etc/msmtprc", "account default\nhost a.example\nauth on\ntls on\nuser me\npassword s3cret\npassword=s3cret\n"},
	{"msmtp", "etc/msmtprc", "account default\nhost a.example\nauth on\ntls on\nuser me\npasswordeval \"echo s3cret\"\n"},
	{"msmtp", "etc/msmtprc", "account default\nhost a.example\nauth on\ntls on\nuser me\npasswordeval \"echo 's3cret\"\n"},
	{"msmtp", "etc/msmtprc", "account default\nhost a.example\nauth on\nuser me s3cret\npassword x\n"},
}

// A password is in its file, or in a command in a configuration that nobody else reads, and is not printed.
func TestImportPrintsNoPassword(t *testing.T) {
	for _, files := range secretPlaces {
		system, root := files[0], t.TempDir()
		for i := 1; i < len(files); i += 2 {
			writeText(t, filepath.Join(root, files[i]), files[i+1])
		}
		out := filepath.Join(t.TempDir(), "postrider.toml")
		for _, more := range [][]string{nil, {"--output", out}} {
			var said bytes.Buffer
			a := testApp()
			a.out, a.err = &said, &said
			a.run(append([]string{"postrider", "import", "--from", system, "--root", root}, more...))
			if !strings.Contains(said.String(), "postrider.toml") || strings.Contains(said.String(), "s3cret") {
				t.Errorf("%s: it is printed, of %q:\n%s", system, files, said.String())
			}
		}
		err := filepath.WalkDir(filepath.Dir(out), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, ".secret") {
				return err
			}
			text, err := os.ReadFile(path)
			for line := range strings.Lines(string(text)) {
				if strings.Contains(line, "s3cret") && !strings.HasPrefix(line, commandLine) {
					t.Errorf("%s, of %q: %s", path, files, line)
				}
			}
			if info, err := d.Info(); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", path, info, err)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		checkSystemImport(t, system, root)
	}
}

// checkSystemImport looks at the files of an installation of the system, of which everybody reads the configuration.
func checkSystemImport(t *testing.T, system, root string) {
	t.Helper()
	m, err := foreign.Read(foreign.Source{FS: os.DirFS(root), From: system})
	if err != nil {
		t.Fatal(err)
	}
	list, err := importFiles(m, config.SystemPath)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if strings.Contains(f.text, "s3cret") && (!f.secret || f.mode != 0o600) {
			t.Errorf("%s: %s has mode %04o:\n%s", system, f.path, f.mode, f.text)
		}
	}
}
