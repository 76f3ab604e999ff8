// Package queue is the spool: a directory that several programs share and that loses no message.
//
// # Layout
//
//	tmp/      drafts being written: ID
//	new/      accepted, never attempted: ID,S=size
//	cur/      accepted, attempted, waiting: ID,S=size:2,due
//	hold/     held by the administrator: ID,S=size
//	corrupt/  not a whole queue file; never fatal, never deleted here: as found
//	journal/  what happened to a message after it was accepted: ID
//	hosts/    next hops that could not be reached: the next hop, escaped
//	lock      held by the daemon that runs the queue
//	origins   the messages that were taken in from other mail systems (Origins)
//
// One file is one message: an envelope of "field: value" lines, an empty line, and the message as it goes over
// the wire (CRLF line ends, not dot-stuffed). Words of a value are escaped so that no byte of a value can end
// it. Unknown fields are kept and ignored. Size is the whole file's, due is in Unix seconds.
//
// # States
//
//	state     names that exist                 made by            ends in
//	draft     [tmp/ID, locked by its writer]   NewDraft           accepted or held (Commit), nothing (Abort, crash)
//	accepted  new/ID,S=n                       Draft.Commit       claimed, held
//	dropped   new/ID,S=n, a user's file        Draft.Commit       claimed, by a copy
//	claimed   any of new cur hold, locked      Spool.Claim        what it was (Close, crash), or any below
//	expanded  the same         journal/ID      Claim.Expand       as claimed
//	deferred  cur/ID,S=n:2,due  journal/ID     Claim.Defer        claimed, held
//	held      hold/ID,S=n       journal/ID     Claim.Hold, Draft  deferred, due at once (Claim.Release)
//	done      none                             Claim.Remove
//	corrupt   corrupt/NAME      [journal/ID]   any reader         the administrator
//
// # Instants
//
// Accepted: the draft's bytes are written, the file is renamed to new/ID,S=n, then the file and the directory new/
// are synced, in whatever order, and when both have succeeded Commit returns nil. Renaming first lets one
// transaction of a journalling file system carry bytes and name, and those of all commits under way at the time.
// The lock, held from the draft's birth, keeps a run from taking the file before it is durable. After an error the
// name is unlinked again. What a power cut leaves in new/ before the instant is whole, or its size or its checksum
// tells that it is not.
//
// Claimed: an exclusive flock(2) on the queue file, taken without waiting. The claimant then checks that the
// name still leads to the locked inode and that the size is the name's. A crash frees the claim.
//
// Dropped: where a spool lets users write into tmp/ and new/, as members of its group (Dropbox), a message may belong to one
// of them. It is accepted like any other. Claim copies it, syncs the copy and gives it the name: from then on it is the
// spool's own, and no user who may have it open can change it. Whose it was proves who submitted it.
//
// Progress: a record in journal/ID. A record that is final for a recipient (delivered, failed, reported) is
// synced before Record returns, so that it is on disk before the next transaction begins. A deferral is not:
// losing it costs a reason in a listing and an attempt, nothing else, and a host that is down must not cost a
// sync for each message that waits for it.
//
// Expanded: a recipient that is an alias, and the recipients that took its place, are in the journal, synced before any
// of them is served (Claim.Expand). Before that instant the alias may come to mean others; after it, it is never looked
// at again for this message, so that no power cut and no change of the alias serves a member twice or forgets one.
// Members follow the recipients of the envelope, by their numbers and in every Claim and Message. A record of an
// expansion counts only when all its members were read.
//
// Done: the queue file is unlinked; where there is a journal the directory is synced before the journal goes,
// so that no power cut brings back the message without its record. A message that was finished in one
// transaction has no journal, and if the power fails before the file system writes the unlinking out, it comes
// back and is delivered again: that is the one window in which a message is doubled.
//
// # Hints
//
// A file in hosts/ tells runs that others could not reach a next hop (FailHost, ClearHost). It is a hint: nothing of
// it is synced, and losing it costs one connection attempt.
//
// # Rules
//
// Listings take no lock. A queue run reads directory entries and opens only what is due. Nobody outside this
// package knows a path. Any number of processes may work on one spool, and one process on several.
package queue
