# What every server has in common. The region's name, addresses, ports, folders, certificates and the gossip key come from a second
# file beside this one; Nomad merges the two.

datacenter = "home"

disable_update_check = true
log_json             = true
log_level            = "INFO"

# A stopping server must stay a member, or a restart of a single server would lose the region its leader.
leave_on_interrupt = false
leave_on_terminate = false

server {
  enabled = true

  # A PC registers only with a token that the gateway minted for exactly its node name and pool.
  client_introduction {
    enforcement          = "strict"
    default_identity_ttl = "5m"
    max_identity_ttl     = "30m"
  }
}

tls {
  http = true
  rpc  = true

  # Without these two any certificate of the same root could act as a server, in any region.
  verify_server_hostname = true
  verify_https_client    = true
}

acl {
  enabled = true
}

telemetry {
  prometheus_metrics   = true
  disable_hostname     = true
  publish_node_metrics = true
}
