# Makes this Windows machine a real server of the VIPs below.
#
#   powershell -ExecutionPolicy Bypass -File real.ps1 up       set it up; a second time changes nothing
#   powershell -ExecutionPolicy Bypass -File real.ps1 down     undo it
#
# Run it as Administrator. What it sets survives a boot. A loopback adapter holds the
# VIPs; Windows does not answer ARP for an address on another adapter, so only the
# director does. Windows takes packets for an address of another adapter only as a
# "weak host": receiving on the LAN's adapters, sending from the loopback adapter.
param([Parameter(Mandatory = $true)][ValidateSet('up', 'down', 'undo')][string]$Do)
$ErrorActionPreference = 'Stop'

$Silent = @() # VIPs this machine holds on the loopback adapter (dr)
$Return = @() # VIP=GATEWAY, whose replies must go back through the director (nat)
$Name = 'naru'

function Get-Loopback {
    Get-NetAdapter | Where-Object { $_.InterfaceDescription -like 'Microsoft*Loopback Adapter*' } | Select-Object -First 1
}

function Invoke-Netsh {
    & netsh.exe @args
    if ($LASTEXITCODE -ne 0) { throw "netsh $args ended with $LASTEXITCODE" }
}

function Set-Up {
    if ($Silent.Count -gt 0) {
        $loopback = Get-Loopback
        if (-not $loopback) {
            throw 'There is no loopback adapter. Run hdwwiz.exe, choose "Install the hardware that I manually select", "Network adapters", "Microsoft", "Microsoft KM-TEST Loopback Adapter"; then run this again.'
        }
        if ($loopback.Name -ne $Name) { Rename-NetAdapter -Name $loopback.Name -NewName $Name }
        # Never chosen for other traffic, never in DNS.
        Invoke-Netsh interface ipv4 set interface $Name metric=254 weakhostreceive=enabled weakhostsend=enabled
        Set-DnsClient -InterfaceAlias $Name -RegisterThisConnectionsAddress $false
        Get-NetIPInterface -AddressFamily IPv4 -ConnectionState Connected |
            Where-Object { $_.InterfaceAlias -ne $Name -and $_.InterfaceAlias -notlike 'Loopback*' } |
            ForEach-Object { Invoke-Netsh interface ipv4 set interface $_.InterfaceIndex weakhostreceive=enabled }
        foreach ($vip in $Silent) {
            if (Get-NetIPAddress -IPAddress $vip -ErrorAction SilentlyContinue) {
                "$vip is here already"
                continue
            }
            Invoke-Netsh interface ipv4 add address $Name $vip 255.255.255.255 skipassource=true
            "added $vip to $Name"
        }
    }
    foreach ($pair in $Return) {
        $vip, $gateway = $pair -split '='
        $hop = (Find-NetRoute -RemoteIPAddress 203.0.113.1 | Where-Object { $_.NextHop }).NextHop
        if ($hop -ne $gateway) {
            throw "Replies of $vip go through $hop, not through the director: netsh interface ipv4 add route 0.0.0.0/0 <interface> $gateway"
        }
        "replies of $vip go back through $gateway"
    }
}

# Undo: weak host receiving stays on the LAN's adapters if anything else might use it;
# without an address to receive for it does nothing.
function Undo-All {
    foreach ($vip in $Silent) {
        $held = Get-NetIPAddress -IPAddress $vip -InterfaceAlias $Name -ErrorAction SilentlyContinue
        if ($held) {
            Invoke-Netsh interface ipv4 delete address $Name $vip
            "removed $vip from $Name"
        }
    }
}

if ($Do -eq 'up') { Set-Up } else { Undo-All }
