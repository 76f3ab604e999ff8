package foreign

import (
	"strings"
)

// clientLimits are those of the server's clients. Postfix counts by the minute unless it is told otherwise.
func (p *postfix) clientLimits() {
	unit, at, set := p.get("anvil_rate_time_unit")
	rates := !set || unit == "60s" || unit == "1m" || unit == "60"
	for _, row := range []struct {
		param, key string
		rate       bool
	}{
		{"smtpd_client_connection_count_limit", "smtpd.client_sessions", false},
		{"smtpd_client_connection_rate_limit", "smtpd.client_connections", true},
		{"smtpd_client_message_rate_limit", "smtpd.client_messages", true},
		{"smtpd_client_recipient_rate_limit", "smtpd.client_recipients", true},
	} {
		if _, given := p.cf.params[row.param]; !given {
			continue
		}
		if row.rate && !rates {
			p.left(at, "%s: rates are those of a minute, not of %s", row.param, unit)
			continue
		}
		low := 0
		if !row.rate {
			low = 1
		}
		p.number(row.param, row.key, low, 1_000_000)
	}
	p.number("smtpd_recipient_limit", "smtpd.recipients", 100, 100_000)
	if value, at, _ := p.get("disable_vrfy_command"); isTrue(value) {
		p.set("smtpd.vrfy", "off", at)
	}
}

// restrictionLists are the parameters that say who may send what.
var restrictionLists = []string{
	"smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_relay_restrictions",
	"smtpd_recipient_restrictions", "smtpd_data_restrictions", "smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions",
}

// alwaysSo are the restrictions that ours has in any case, or that change nothing by themselves.
var alwaysSo = map[string]bool{
	"permit_mynetworks": true, "permit_sasl_authenticated": true, "reject_unauth_destination": true, "defer_unauth_destination": true,
	"permit": true, "reject_unauth_pipelining": true, "reject_unlisted_recipient": true, "permit_auth_destination": true,
	"reject_non_fqdn_recipient": true, "reject_non_fqdn_sender": true, "reject_unknown_recipient_domain": true,
	"permit_tls_clientcerts": true, "sleep": true,
}

// policies are the restrictions that a setting of ours is.
var policies = map[string]struct {
	key   string
	value string
}{
	"reject_invalid_helo_hostname": {"smtpd.helo", "valid"}, "reject_invalid_hostname": {"smtpd.helo", "valid"},
	"reject_non_fqdn_helo_hostname": {"smtpd.helo", "valid"}, "reject_non_fqdn_hostname": {"smtpd.helo", "valid"},
	"reject_unknown_helo_hostname": {"smtpd.helo", "known"}, "reject_unknown_hostname": {"smtpd.helo", "known"},
	"reject_unknown_client_hostname": {"smtpd.reverse_name", "match"}, "reject_unknown_client": {"smtpd.reverse_name", "match"},
	"reject_unknown_reverse_client_hostname": {"smtpd.reverse_name", "some"},
}

// restrictions carries over what the server demands of strangers.
func (p *postfix) restrictions() {
	for _, param := range restrictionLists {
		value, at, _ := p.get(param)
		for list := words(value); len(list) > 0; {
			list = list[p.restriction(param, at, list):]
		}
	}
}

// restriction takes the first of a list, with what belongs to it, and returns how many words that were.
func (p *postfix) restriction(param string, at Place, list []string) int {
	word := list[0]
	policy, isPolicy := policies[word]
	switch {
	case alwaysSo[word]:
	case isPolicy:
		if old := p.Get(policy.key); old != "known" && old != "match" {
			p.set(policy.key, policy.value, at)
		}
	case strings.HasPrefix(word, "reject_rbl_client"), word == "reject_maps_rbl_client":
		if len(list) < 2 {
			break
		}
		p.add("smtpd.dns_lists", at, list[1])
		return 2
	case strings.HasPrefix(word, "check_"), strings.HasPrefix(word, "reject_rhsbl_"), strings.HasPrefix(word, "permit_dnswl"), strings.HasPrefix(word, "permit_rhswl"):
		p.left(at, "%s: %s is not possible; see smtpd.access", param, strings.Join(list[:min(2, len(list))], " "))
		return min(2, len(list))
	default:
		p.left(at, "%s: %s is not possible", param, word)
	}
	return 1
}
