// Package foreign reads the configurations and the queues of other mail systems, so that a site can change to this one
// without typing its settings again and without losing the mail that waits.
//
// Read makes an Import of a configuration: settings by the names that they have in postrider.toml, each with the place it
// comes from, and notes on whatever could not be carried over. A Note that is Left says that something the
// administrator has asked for is missing; the others tell of differences that may matter.
//
// The rules of all readers:
//
//   - What is read is data. No command that a configuration names is run, no macro language is evaluated beyond what is
//     said at its reader, and no map but a text file is opened.
//   - Nothing is dropped in silence. A setting that a reader does not know is Left, and those that have no meaning here are
//     in a table that says so.
//   - When a setting could be carried over in two ways the one that lets less through is taken.
//   - A password is in Import.Password and nowhere else: not in a Setting and not in a Note.
//   - Readers take time linear in what they read, and cap it.
//
// Of a queue, a Message is one message that waits: see ReadPostfix and ReadSendmail.
package foreign
