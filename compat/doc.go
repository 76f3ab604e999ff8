// Package compat is what postrider imitates of others: the option grammar of sendmail(8) under all its names,
// and the queue listings that Sendmail and Postfix print and other programs read.
//
// Parse reads an argument vector as getopt(3) does: letters may be bundled, a value is the rest of the word or
// else the next word, an optional value is only ever the rest of the word, and options end at the first word
// that does not begin with "-", at "-" and at "--". Nothing is permuted and no operand is changed. The table
// Options says of each letter what it does, or why it is ignored; parser, usage text, manual page and tests
// all go by it.
//
// An option that nobody needs never loses a message: what is harmless is ignored, and a bad value of an option
// that only asks for an extra is a warning. What could change where mail goes (an unknown letter, an unknown
// mode, a missing value) is refused with exit status 64.
package compat
