package main

import "strings"

// units are those of systemd that make up a mail system.
var units = []string{"postrider-local.socket", "postrider-queuerun.service", "postrider-smtpd.service"}

// units has systemd start the daemons, now and at boot.
func (in *installer) units() step {
	return step{
		look: func() (string, error) {
			if !in.underSystemd() {
				return "", nil
			}
			var off []string
			for _, unit := range units {
				if in.host.run("systemctl", "--quiet", "is-enabled", unit) != nil || in.host.run("systemctl", "--quiet", "is-active", unit) != nil {
					off = append(off, unit)
				}
			}
			if len(off) == 0 {
				return "", nil
			}
			return "enable and start " + strings.Join(off, ", "), nil
		},
		do: func() error {
			if err := in.host.run("systemctl", "daemon-reload"); err != nil {
				return err
			}
			return in.host.run("systemctl", append([]string{"enable", "--now"}, units...)...)
		},
	}
}

// unitsOff has systemd stop them.
func (in *installer) unitsOff() step {
	return step{
		look: func() (string, error) {
			if !in.underSystemd() {
				return "", nil
			}
			var on []string
			for _, unit := range append(units, "postrider-local.service", "postrider-smtpd.socket") {
				if in.host.run("systemctl", "--quiet", "is-enabled", unit) == nil || in.host.run("systemctl", "--quiet", "is-active", unit) == nil {
					on = append(on, unit)
				}
			}
			if len(on) == 0 {
				return "", nil
			}
			return "stop and disable " + strings.Join(on, ", "), nil
		},
		do: func() error {
			return in.host.run("systemctl", append([]string{"disable", "--now"}, append(units, "postrider-local.service", "postrider-smtpd.socket")...)...)
		},
	}
}
