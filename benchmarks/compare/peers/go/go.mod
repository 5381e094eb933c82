module blitzio.invalid/compare/go

go 1.22
