package route

import (
	"strings"
	"testing"

	"postrider/aliases"
)

// An index that cannot be used is told, and mail goes by the text.
func TestABadIndexOfAliasesIsTold(t *testing.T) {
	conf := system(withAliases(t, "a: x@far.example\n"))
	path := conf.Aliases[0] + aliases.IndexSuffix
	writeOld(t, path, "nonsense")
	r := router(conf)
	var told []string
	r.Report(func(err error) { told = append(told, err.Error()) })
	for range 2 {
		if e, ok, err := r.Aliases().Lookup("a"); !ok || err != nil || e.Members[0].Address.String() != "x@far.example" {
			t.Errorf("%+v, %v, %v", e, ok, err)
		}
	}
	if len(told) != 1 || !strings.HasPrefix(told[0], path+": the index is not used: ") {
		t.Errorf("%q", told)
	}
}
