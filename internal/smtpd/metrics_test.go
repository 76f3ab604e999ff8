package smtpd

import (
	"bytes"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

func metricsText(t *testing.T, d *Daemon) string {
	t.Helper()
	var b bytes.Buffer
	if err := d.Metrics(&b, "v1"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestEveryCountIsAMetric gives each field of Stats another value, and looks for them all.
func TestEveryCountIsAMetric(t *testing.T) {
	d, set := testDaemon(t, 10)
	stats := reflect.ValueOf(set.Server.Stats).Elem()
	for i := range stats.NumField() {
		stats.Field(i).Addr().Interface().(*atomic.Int64).Store(int64(1000 + i))
	}
	text := metricsText(t, d)
	for i := range stats.NumField() {
		if n := strings.Count(text, " "+strconv.Itoa(1000+i)+"\n"); n != 1 {
			t.Errorf("%s is shown %d times", stats.Type().Field(i).Name, n)
		}
	}
}

func TestMetricsFormat(t *testing.T) {
	d, _ := testDaemon(t, 10)
	line := regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{version="v1"\})? [0-9]+)$`)
	text := metricsText(t, d)
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if !line.MatchString(l) {
			t.Errorf("bad line %q", l)
		}
	}
	if !strings.Contains(text, "\npostrider_smtpd_sessions_limit 10\n") {
		t.Errorf("no limit in\n%s", text)
	}
}

// TestManPageOfMetrics holds smtpd(8) to the metrics: each is described, and no other.
func TestManPageOfMetrics(t *testing.T) {
	page, err := os.ReadFile("../../man/smtpd.8")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\.It Li ([a-z_]+)$`).FindAllStringSubmatch(string(page), -1) {
		described[metricPrefix+m[1]] = true
	}
	d, _ := testDaemon(t, 10)
	shown := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE ([a-z_]+)`).FindAllStringSubmatch(metricsText(t, d), -1) {
		shown[m[1]] = true
	}
	if !reflect.DeepEqual(described, shown) {
		t.Errorf("the page describes %v, there are %v", described, shown)
	}
}
