package foreign

import "strings"

// nothing are the parameters of Postfix that mean nothing here: they are about how its own programs work together, about
// the looks of its log, or about what ours always does so. A name that ends in "*" is a prefix.
var nothing = []string{
	// its programs, files and users
	"compatibility_level", "readme_directory", "html_directory", "manpage_directory", "sample_directory", "meta_directory", "shlib_directory",
	"command_directory", "daemon_directory", "data_directory", "config_directory", "queue_directory", "mail_owner", "setgid_group",
	"sendmail_path", "newaliases_path", "mailq_path", "openssl_path", "default_database_type", "alias_database", "import_environment", "export_environment",
	"default_privs", "default_process_limit", "process_id_directory", "multi_instance_*", "qmgr_*", "queue_run_delay", "debug_peer_*", "debugger_command",
	"hash_queue_*", "in_flow_delay", "max_idle", "max_use", "ipc_*", "trigger_timeout", "service_throttle_time", "fork_*", "lmdb_map_size", "berkeley_db_*",
	"address_verify_map", "address_verify_poll_*", "proxy_read_maps", "proxy_write_maps", "mail_version", "mail_release_date", "authorized_*", "postscreen_*",
	// log and names
	"biff", "maillog_*", "syslog_*", "smtpd_banner", "mail_name", "notify_classes", "2bounce_notice_recipient", "bounce_notice_recipient",
	"error_notice_recipient", "delay_notice_recipient", "soft_bounce_*", "confirm_delay_cleared",
	// TLS and SASL, of which the modern way is always taken
	"smtp_tls_CApath", "smtp_tls_CAfile", "smtpd_tls_CApath", "smtpd_tls_CAfile", "smtp_tls_loglevel", "smtpd_tls_loglevel", "lmtp_tls_*", "tls_*",
	"smtp_tls_session_cache_*", "smtpd_tls_session_cache_*", "smtp_tls_note_starttls_offer", "smtpd_tls_received_header", "smtpd_tls_auth_only",
	"smtp_tls_ciphers", "smtp_tls_mandatory_*", "smtp_tls_protocols", "smtp_tls_exclude_ciphers", "smtpd_tls_ciphers", "smtpd_tls_mandatory_*",
	"smtpd_tls_protocols", "smtpd_tls_exclude_ciphers", "smtpd_tls_eecdh_grade", "smtpd_tls_dh1024_param_file", "smtpd_tls_dh512_param_file",
	"smtpd_tls_ask_ccert", "smtp_sasl_security_options", "smtp_sasl_tls_security_options", "smtp_sasl_tls_verified_security_options",
	"smtp_sasl_mechanism_filter", "smtp_sasl_type", "smtp_sasl_path", "smtpd_sasl_security_options", "smtpd_sasl_tls_security_options",
	"smtpd_sasl_local_domain", "smtpd_sasl_authenticated_header", "smtpd_sasl_service", "cyrus_sasl_config_path", "broken_sasl_auth_clients",
	"smtpd_relay_before_recipient_restrictions", "smtp_dns_support_level", "smtp_host_lookup", "lmtp_host_lookup", "disable_dns_lookups",
	// the server's manners
	"smtpd_helo_required", "smtpd_delay_reject", "strict_rfc821_envelopes", "smtpd_error_sleep_time", "smtpd_soft_error_limit", "smtpd_hard_error_limit",
	"smtpd_timeout", "smtpd_discard_ehlo_*", "unknown_*_reject_code", "invalid_hostname_reject_code", "non_fqdn_reject_code", "maps_rbl_reject_code",
	"access_map_reject_code", "reject_code", "relay_domains_reject_code", "smtpd_forbid_*", "smtpd_junk_command_limit", "smtpd_per_record_deadline",
	"smtpd_client_connection_rate_exceptions", "smtputf8_*", "smtpd_peername_lookup", "allow_percent_hack", "swap_bangpath", "allow_untrusted_routing",
	"parent_domain_matches_subdomains", "anvil_*", "smtpd_reject_footer", "local_recipient_maps", "smtpd_reject_unlisted_*",
	// delivery
	"append_dot_mydomain", "append_at_myorigin", "mailbox_delivery_lock", "local_destination_*", "deliver_lock_*", "stale_lock_time",
	"virtual_mailbox_limit", "virtual_mailbox_lock", "owner_request_special", "expand_owner_alias", "reset_owner_alias", "prepend_delivered_header",
	"smtp_*_timeout", "smtp_connection_cache_*", "smtp_address_preference", "smtp_skip_5xx_greeting",
	"smtp_always_send_ehlo", "smtp_destination_*", "relay_destination_*", "initial_destination_concurrency",
	"enable_long_queue_ids", "propagate_unmatched_extensions", "remote_header_rewrite_domain", "local_header_rewrite_clients",
	"line_length_limit", "header_address_token_limit", "allow_mail_to_*", "undisclosed_recipients_header", "enable_original_recipient",
	"always_add_missing_headers", "smtp_balance_inet_protocols", "inet_protocols",
}

// postfixMeansNothing tells whether a parameter means nothing here.
func postfixMeansNothing(name string) bool {
	for _, n := range nothing {
		before, after, pattern := strings.Cut(n, "*")
		if name == n || pattern && len(name) >= len(before)+len(after) && strings.HasPrefix(name, before) && strings.HasSuffix(name, after) {
			return true
		}
	}
	return false
}

// postfixLeft says why a parameter that does mean something cannot be carried over, where more can be said than that.
var postfixLeft = map[string]string{
	"content_filter":                      "mail is not sent through a filter",
	"smtpd_milters":                       "there are no mail filters (milters)",
	"non_smtpd_milters":                   "there are no mail filters (milters)",
	"milter_default_action":               "there are no mail filters (milters)",
	"milter_protocol":                     "there are no mail filters (milters)",
	"header_checks":                       "the content of messages is not looked at",
	"mime_header_checks":                  "the content of messages is not looked at",
	"nested_header_checks":                "the content of messages is not looked at",
	"body_checks":                         "the content of messages is not looked at",
	"smtp_header_checks":                  "the content of messages is not looked at",
	"always_bcc":                          "no copies are made",
	"sender_bcc_maps":                     "no copies are made",
	"recipient_bcc_maps":                  "no copies are made",
	"canonical_maps":                      "addresses are not rewritten when mail comes in",
	"sender_canonical_maps":               "addresses are not rewritten when mail comes in",
	"recipient_canonical_maps":            "addresses are not rewritten when mail comes in",
	"relocated_maps":                      "no new addresses are told",
	"luser_relay":                         "mail for unknown users is refused",
	"fallback_transport":                  "mail for unknown users is refused",
	"local_transport":                     "local mail goes to local.mailbox",
	"default_transport":                   "mail for other domains goes to the smarthost or their exchangers",
	"defer_transports":                    "mail is tried at once; sendmail -odq only queues",
	"relay_transport":                     "mail for relay.domains goes to their exchangers",
	"fallback_relay":                      "there is no fallback for exchangers",
	"smtp_fallback_relay":                 "there is no fallback for exchangers",
	"virtual_mailbox_domains":             "there are no mailboxes but those of the system's users",
	"virtual_mailbox_maps":                "there are no mailboxes but those of the system's users",
	"virtual_mailbox_base":                "there are no mailboxes but those of the system's users",
	"virtual_transport":                   "there are no mailboxes but those of the system's users",
	"virtual_uid_maps":                    "there are no mailboxes but those of the system's users",
	"virtual_gid_maps":                    "there are no mailboxes but those of the system's users",
	"virtual_minimum_uid":                 "there are no mailboxes but those of the system's users",
	"smtpd_sender_login_maps":             "see smtpd.sender_logins for a table of who may use which sender",
	"smtp_helo_name":                      "the greeting has the name of this host",
	"smtp_bind_address":                   "the system chooses the address from which mail is sent",
	"smtp_bind_address6":                  "the system chooses the address from which mail is sent",
	"proxy_interfaces":                    "put names of this host into domains",
	"smtp_tls_cert_file":                  "no certificate of ours is shown to other hosts",
	"smtp_tls_key_file":                   "no certificate of ours is shown to other hosts",
	"relay_clientcerts":                   "see tls.client_ca of [[listen]] for logins by certificate",
	"forward_path":                        "it is ~/.forward",
	"mailbox_transport_maps":              "all users' mail goes to local.mailbox",
	"mailbox_command_maps":                "all users' mail goes to local.mailbox",
	"mailbox_size_limit":                  "mailboxes have no limit of their own; the system's quotas count",
	"smtpd_data_restrictions":             "nothing is asked of clients at DATA but that they wait for the reply",
	"header_size_limit":                   "a header has 1 MiB at most",
	"queue_minfree":                       "half as much as a message again and 10 MiB stay free",
	"default_destination_recipient_limit": "a transaction has 100 recipients at most",
	"default_destination_rate_delay":      "there is no pause between messages to one host",
	"transport_retry_time":                "a host that fails is left alone for queue.retry_min",
	"soft_bounce":                         "mail that is refused is returned",
}
