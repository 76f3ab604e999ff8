package auth

import (
	"context"
	"testing"
)

func BenchmarkPassword(b *testing.B) {
	a := &Authenticator{now: newClock().now, file: &file{now: newClock().now, looked: newClock().t}}
	u, err := parseUsers("users", []byte("alice:{ARGON2ID}"+newArgon("password").String()+"\n"))
	if err != nil {
		b.Fatal(err)
	}
	a.file.users.Store(u)
	for _, c := range []struct{ name, user, password string }{{"first", "alice", "wrong"}, {"nobody", "mallory", "wrong"}, {"again", "alice", "password"}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				a.check(context.Background(), c.user, c.password)
			}
		})
	}
}
