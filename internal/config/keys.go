package config

import (
	"reflect"
	"slices"
	"strings"
)

// key is one setting: its dotted name and the value it has in a Config.
type key struct {
	name  string
	value reflect.Value
}

// keysOf lists the keys of a table in the order of its fields; those of tables within it have dotted names.
// Arrays of tables count as one key.
func keysOf(table reflect.Value, prefix string) (keys []key) {
	for i := range table.NumField() {
		tag := table.Type().Field(i).Tag.Get("toml")
		switch v := table.Field(i); {
		case tag == "-":
		case v.Kind() == reflect.Struct:
			keys = append(keys, keysOf(v, prefix+tag+".")...)
		default:
			keys = append(keys, key{prefix + tag, v})
		}
	}
	return keys
}

// knownKeys lists the names of all keys, those within arrays of tables too.
func knownKeys() (names []string) {
	for _, k := range keysOf(reflect.ValueOf(Config{}), "") {
		names = append(names, k.name)
		if t := k.value.Type(); t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct {
			for _, inner := range keysOf(reflect.New(t.Elem()).Elem(), k.name+".") {
				names = append(names, inner.name)
			}
		}
	}
	return names
}

// nearest is the known key that name was probably meant to be: the one with the smallest edit distance. That the
// table is wrong or missing counts as one edit.
func nearest(name string) string {
	name = strings.ToLower(name)
	name = name[:min(len(name), 64)]
	best, bestDistance := "", len(name)+64
	for _, known := range withTables(knownKeys()) {
		distance := min(editDistance(name, known), 1+editDistance(lastPart(name), lastPart(known)))
		if distance < bestDistance {
			best, bestDistance = known, distance
		}
	}
	return best
}

// withTables adds to keys the tables that they are in.
func withTables(keys []string) (names []string) {
	for _, k := range keys {
		for i := range k {
			if k[i] == '.' && !slices.Contains(names, k[:i]) {
				names = append(names, k[:i])
			}
		}
		names = append(names, k)
	}
	return names
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// editDistance counts the bytes to insert, delete or replace to make b of a (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
