//go:build interop

package interop

import (
	"strings"
	"testing"
)

func init() {
	packages = append(packages, [2]string{"dpkg", "dpkg"}, [2]string{"dpkg-deb", "dpkg"}, [2]string{"make", "make"}, [2]string{"unshare", "util-linux"},
		[2]string{"nsenter", "util-linux"}, [2]string{"setpriv", "util-linux"}, [2]string{"systemd-analyze", "systemd"})
}

// The package installs, works, goes, and leaves mail alone.
func TestDebianPackage(t *testing.T) {
	w := installed(t)
	for _, c := range []struct{ what, script, want string }{
		{"drop", "stat -c '%U:%G %a' /usr/libexec/postrider/drop", "root:postrider 2755\n"},
		{"the only set-id bit", "find $(dpkg -L postrider) -maxdepth 0 -type f -perm /6000", "/usr/libexec/postrider/drop\n"},
		{"the spool", "stat -c '%U:%G %a %n' /var/spool/postrider /var/spool/postrider/new /var/spool/postrider/tmp",
			"postrider:postrider 710 /var/spool/postrider\npostrider:postrider 1730 /var/spool/postrider/new\npostrider:postrider 1730 /var/spool/postrider/tmp\n"},
		{"the user", "getent passwd postrider | cut -d: -f1,6,7", "postrider:/nonexistent:/usr/sbin/nologin\n"},
		{"the names of sendmail", "readlink -f /usr/lib/sendmail /usr/bin/hoststat /usr/bin/purgestat /usr/sbin/runq", strings.Repeat("/usr/sbin/sendmail\n", 4)},
		{"aliases", "grep -q '^postmaster:' /etc/aliases && echo there", "there\n"},
		{"what it provides", "dpkg-query -W -f '${Provides} ${Status}' postrider", "mail-transport-agent install ok installed"},
		{"its files are as they were packed", "dpkg --verify postrider || true", ""},
		{"manuals", "man -w drop 2>/dev/null || ls /usr/share/man/man8/drop.8.gz", "/usr/share/man/man8/drop.8.gz\n"},
		{"the units", "cd /usr/lib/systemd/system && LD_LIBRARY_PATH=" + unpacked() + "/usr/lib/systemd SYSTEMD_UNIT_PATH=/usr/lib/systemd/system:" + unpacked() +
			"/usr/lib/systemd/system " + find("systemd-analyze") + " --man=no verify ./postrider-* && echo good", "good\n"},
		{"the units are enabled", "ls /etc/systemd/system/*.wants | grep -c postrider", "3\n"},
	} {
		if got := w.sh(c.script); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
	check := w.sh("postrider check || true")
	for _, line := range linesWith(check, "fail: ") {
		if !strings.Contains(line, "name server") && !strings.Contains(line, "/etc/resolv.conf") { // a world has none
			t.Errorf("check says %s", line)
		}
	}

	// A message that waits is there whatever becomes of the package.
	w.sh("printf 'Subject: waits\\n\\ntext\\n' | setpriv --reuid nobody --regid nogroup --clear-groups sendmail bob@remote.example")
	before := w.sh("ls -l /var/spool/postrider/new")
	if !strings.Contains(before, "nobody") {
		t.Errorf("no message was dropped: %s", before)
	}
	w.sh("echo 'hostname = \"changed.example\"' >>/etc/postrider/postrider.toml.new; cat /etc/postrider/postrider.toml >>/etc/postrider/postrider.toml.new; mv /etc/postrider/postrider.toml.new /etc/postrider/postrider.toml")
	w.sh("dpkg --install /tmp/given/postrider.deb")
	if got := w.sh("grep -c changed.example /etc/postrider/postrider.toml; stat -c %a /usr/libexec/postrider/drop"); got != "1\n2755\n" {
		t.Errorf("installed once more: %q", got)
	}
	w.sh("touch /usr/bin/mail.postrider; chmod 755 /usr/bin/mail.postrider; /var/lib/dpkg/info/postrider.postinst configure 0")
	if got := w.sh("update-alternatives --query mailx | grep -c '^Alternative: /usr/bin/mail.postrider'; readlink -f /usr/bin/mail"); !strings.HasPrefix(got, "1\n") {
		t.Errorf("alternatives: %q", got)
	}
	w.sh("dpkg --remove postrider")
	if got := w.sh("ls /usr/sbin/sendmail /usr/lib/sendmail /usr/libexec/postrider /usr/bin/mailq 2>/dev/null || true; ls /etc/postrider/postrider.toml; update-alternatives --query mailx 2>/dev/null | grep mail.postrider || true"); got != "/etc/postrider/postrider.toml\n" {
		t.Errorf("removed: %q", got)
	}
	purged := w.sh("dpkg --purge postrider")
	if got := w.sh("ls -d /etc/postrider 2>/dev/null || true; ls -l /var/spool/postrider/new; dpkg-query -W postrider 2>/dev/null || true; ls /etc/systemd/system/*.wants/postrider* 2>/dev/null || true"); got != before {
		t.Errorf("purged: %q, want %q (%s)", got, before, purged)
	}
	w.sh("dpkg --install /tmp/given/postrider.deb")
	if got := w.sh("ls -l /var/spool/postrider/new"); got != before {
		t.Errorf("installed anew: %q, want %q", got, before)
	}
}
