# The index of commands. `make` alone lists them.

.PHONY: help demo up test check unit s3 browser sam nightly bench fmt docs clean

help: ## this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: ## a whole month end with invented data, no account anywhere
	cargo run -- demo

up: ## the embedded cloud with its sandbox, until Ctrl-C
	cargo run -- up --sandbox

test: ## install what the tests need and run all of them
	tools/test

check: ## format, lints, documentation, dependencies
	tools/check

unit: ## all tests that need nothing installed
	tools/test-code

s3: ## boto3, s3cmd, rclone and the AWS CLI on the embedded S3; the same month end on moto
	tools/test-s3

browser: ## the console in a headless Chromium
	tools/test-browser

sam: ## build the functions as for AWS and invoke them in SAM's containers
	tools/test-sam --release

nightly: ## what takes hours: a kill at every step of every story, in all ways, and all fault sweeps
	KILLS=all cargo test --workspace --test command_line kills::
	FAULTS=all cargo test --workspace --test stories faults:: -- --include-ignored

bench: ## measure, and write bench/RESULTS.md
	bench/run

fmt: ## format
	cargo fmt

docs: ## documentation of the code
	cargo doc --workspace --no-deps

clean: ## remove what was built
	cargo clean
	rm -rf .aws-sam
