// Package queuerun takes messages out of the spool and to their recipients: which message now, over which
// session, and what becomes of those that could not be delivered.
//
// A Runner makes queue runs (Run) or is the daemon of a spool (Daemon). Any number of runners may work on one
// spool: what another one holds is passed over in silence.
//
// # An attempt
//
// A message is claimed, its pending recipients are routed and grouped by next hop, and each group is offered in
// transactions of at most 100 recipients. Outcomes are in the journal, and on disk when they are final, before
// the next transaction begins. A message whose last recipients were all served by one transaction is removed
// at once, without a journal.
//
// A recipient that failed for good, or asked to hear of its success, gets its report at the end of the attempt:
// the report is a message of its own in the same spool. Its ID is in the journal before it is committed
// (Intent), and that it was committed after (Reported). An attempt that finds an Intent looks for that ID: a report
// that is in the spool is committed, any other is made again. Only then may the message go.
//
// What is left is deferred: RetryMin·1.5ⁿ, at most RetryMax, give or take 15 %. After WarnAfter the sender hears once
// that the message is late. After Lifetime a recipient that still cannot be reached expires, but never at the
// first attempt, and not when the attempt before is longer ago than a day: the machine was off or its clock has
// jumped, and the host deserves another try.
//
// A sender may want that a message is not sent before a time (RFC 4865): until then it is not attempted, not even by a
// Selection that asks for it, and its life begins then. A sender may set a deadline (RFC 2852), at which the next
// attempt is at the latest. In mode R that attempt gives up; in mode N the sender hears once that the deadline has
// passed. Whoever takes the message over hears how much time is left; in mode R nobody else may have it. A message
// that is in a mailbox, or was taken over LMTP, is delivered.
//
// # Aliases
//
// A recipient whose route is others, as an alias of several or a list with an owner, is expanded once: its members are on
// record before any of them is served, and are recipients like all others then, whatever becomes of the alias. Who is a
// recipient of the message already, by whatever name, does not become one again. Members are final: they are never
// looked up in the aliases. Those of a list with an owner have him for their sender, in transactions and in reports.
//
// # Users of this machine
//
// In a system installation they are served by the delivery agent, local(8), at its socket, which runs as root and becomes
// each of them in turn; this process could not. In a user installation, and for the user as whom it runs, this process
// does the same by itself. Commands and files that aliases and users name go the same way.
//
// A user may have a .forward that names others. The agent reads it and tells when it is asked for the user, before it has
// the message, and delivers nothing for him then. Those that are named are put on record as members of an alias are, with
// the same terms, and are served in the same attempt; they may be aliases, and users who forward in turn. Who leads to whom
// is never a circle (see circle.go): whoever would close one gets the message into his mailbox. A copy that leaves has a
// Delivered-To field for each who has forwarded it. Mail that comes back to one of them is refused.
//
// A mailbox that is named as such, and is also that of a user who is a recipient and has no .forward, gets the message
// once: mailboxes come last.
//
// # What a crash costs
//
// Between a peer's 250 and the record (or the removal) of it only this process knows that the recipient has
// the message. If the process or the power dies just then, the message is delivered again: that is the one window
// in which mail is doubled. A removal without a journal is not synced, so for it the window lasts until the file
// system has written it out (see package queue). Maildir deliveries close the window by their names. When the
// spool refuses the record (a full disk), the attempt goes no further and asks again, more and more slowly, until
// the spool takes it: a daemon as long as it lives, a single run for a minute.
//
// # Next hops
//
// A next hop has few sessions at first and one more for each success, up to HostConcurrency, and never all that
// Concurrency allows, so that one slow host cannot hold up the others. In a daemon, mail that was attempted before never
// has all workers, so that hosts which are down do not hold up new mail. Sessions stay open for the next message
// for a few seconds. Messages that find their next hop busy wait by name only, unclaimed, once their other recipients
// are served; an attempt that has waited goes on with those that are left. A daemon for which too many messages wait
// leaves the others in the spool until there is room for them.
//
// The hosts of a next hop are tried in their order until one gives a session and hears the text of the message, or
// has an answer for good (RFC 5321 section 5.1), for at most ten minutes.
//
// A next hop that no session could be had with is dead: what else wants to go there is deferred for the same reason
// without another connection, in a daemon until the message that found it dead may be due again, in a single run
// until its end. If it could not be reached at all the spool gets a note of that (see shared), so that it is dead for
// other processes too, for as long as for a daemon or until there is a session. A Selection that insists is not put
// off by the notes of others.
//
// # The end
//
// When the context ends nothing new is begun; transactions under way have ten seconds to end, and what has ended
// is recorded. What crashes leave in the spool is removed by a daemon at its start and once a day, and by one in
// sixteen of the single runs that are not for certain messages.
package queuerun
