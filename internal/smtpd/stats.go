package smtpd

import "sync/atomic"

// Stats counts what sessions do. All counts only grow, but for Sessions. A nil *Stats counts nothing.
type Stats struct {
	Sessions      atomic.Int64 // going on now
	Connections   atomic.Int64 // sessions begun
	TLS           atomic.Int64 // TLS handshakes that succeeded
	TLSFailures   atomic.Int64
	Logins        atomic.Int64
	LoginFailures atomic.Int64
	Messages      atomic.Int64 // accepted
	Bytes         atomic.Int64 // of messages accepted
	Recipients    atomic.Int64 // of messages accepted
	Discarded     atomic.Int64 // messages taken and thrown away
	Refused       atomic.Int64 // commands, clients and messages refused for good
	Deferred      atomic.Int64 // and for now
	Errors        atomic.Int64 // commands that made no sense
	CommitFails   atomic.Int64 // messages that the spool did not take
	Dropped       atomic.Int64 // sessions that we ended
}
