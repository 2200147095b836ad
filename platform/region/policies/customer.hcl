# The demo's customer: submits jobs, looks at them and reads what they print. Sees no node.

namespace "default" {
  capabilities = ["submit-job", "read-job", "list-jobs", "read-logs"]
}
