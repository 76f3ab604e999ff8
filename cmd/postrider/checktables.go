package main

import (
	"fmt"
	"os"
	"reflect"
	"strings"

	"postrider/internal/config"
	"postrider/internal/route"
	"postrider/internal/status"
)

// tables reads the tables that decide where mail goes, line by line. Mail waits for one that is wrong.
func (k *checker) tables() (list []finding) {
	for _, t := range route.New(k.conf, k.resolver, k.users).Tables() {
		switch {
		case t.Err != nil:
			for _, line := range strings.Split(status.From(t.Err).Unwrap().Error(), "\n") {
				list = append(list, finding{fail, "table: " + line, "correct it: mail waits"})
			}
		default:
			list = append(list, good("table %s: %s", t.Path, counted(t.Lines, "key")))
		}
		for _, note := range t.Notes {
			list = append(list, finding{warn, "table: " + note, "remove the line"})
		}
	}
	return append(list, k.databases()...)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// databases looks for tables of which Sendmail has a database here, but no text.
func (k *checker) databases() (list []finding) {
	tables, defaults := reflect.ValueOf(k.conf.Tables), reflect.ValueOf(config.Default().Tables)
	for i := range tables.NumField() {
		path := tables.Field(i).String()
		if path == "" || k.conf.User && path == defaults.Field(i).String() {
			continue
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			continue
		}
		if _, err := os.Stat(path + ".db"); err == nil {
			list = append(list, finding{warn, "table " + path + " is not there, but its database " + path + ".db is", "write it as text: makemap -u hash " + path + " >" + path})
		}
	}
	return list
}
