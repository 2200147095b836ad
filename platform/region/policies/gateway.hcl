# The supplier gateway: the only holder of a token that acts on nodes.

# Mint introduction tokens, make nodes eligible and ineligible, drain a lost PC, read the nodes and their events.
node {
  policy = "write"
}

# Of every namespace: what runs on a PC is metered wherever its job was submitted. One that is named goes by its own rule.
namespace "*" {
  capabilities = ["read-job", "alloc-lifecycle"]
}

# read-job: read allocations and their events, to meter them. alloc-lifecycle: stop one allocation, so that it moves elsewhere.
namespace "default" {
  capabilities = ["read-job", "alloc-lifecycle"]
}

node_pool "gamers" {
  policy = "read"
}
