"""ManageSieve: scripts are kept, checked and made active over the network.  RFC 5804."""
