package sibling

import "syscall"

const (
	first = 3   // descriptor beyond those that every program has
	many  = 256 // and as far as callers leave theirs, in practice
)

func eachCloseOnExec() {
	for fd := first; fd < many; fd++ {
		syscall.CloseOnExec(fd)
	}
}
