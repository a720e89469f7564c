# `make run` and `make test` work on a fresh clone, on a machine with the Rust toolchain and a package manager.
# Nothing here sets compiler flags: what make builds, plain cargo need not build again.

.DEFAULT_GOAL := help
.PHONY: help run test lint bench fuzz release

help: ## Show this.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Install what is missing, build, and run examples/quickstart.yaml with a sample service and a sample thing.
	@scripts/setup run
	cargo build --profile quick --package windrose
	@scripts/quickstart target/quick/windrose

test: ## Install what the tests need, then check format, lints and dependencies and run every test; ends in counts.
	@scripts/setup test
	@scripts/test

lint: ## Check format, lints and dependencies only.
	@scripts/setup test
	@scripts/test lint

bench: ## Measure; ARGS are handed to the program, such as ARGS=--help.
	@scripts/setup bench
	cargo run --profile quick --package windrose-bench -- $(ARGS)

release: ## Build target/release/windrose for use, fitted to what it does under load if llvm-profdata is here.
	@scripts/setup run
	@scripts/release

fuzz: ## Try random inputs for long: of TARGET for TIME seconds (see fuzz/), or of all property tests, CASES each.
	@scripts/setup run
	@scripts/fuzz "$(TARGET)"
