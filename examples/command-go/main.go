// SPDX-License-Identifier: Apache-2.0

// Prints what it was started with, copies its input to a file, ends with a code of the caller's choice.
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
)

func main() {
	for i, arg := range os.Args[1:] {
		fmt.Printf("argument %d: %s\n", i+1, arg)
	}
	fmt.Printf("GREETING: %s\n", os.Getenv("GREETING"))

	input, err := io.ReadAll(os.Stdin)
	check(err)
	fmt.Printf("input: %d bytes\n", len(input))

	// command-go CODE [FILE]
	if len(os.Args) > 2 {
		check(os.WriteFile(os.Args[2], input, 0o644))
	}
	if len(os.Args) > 1 {
		code, err := strconv.Atoi(os.Args[1])
		check(err)
		os.Exit(code)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
