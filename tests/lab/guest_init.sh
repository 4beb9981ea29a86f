#!/bin/busybox sh
# The whole of a guest: counts in memory, shows it on a page, and appends it to its disk.
#
#   /              "BOOT-ID COUNT", new each second
#   /cgi-bin/one?T keeps T in memory, as the first stage of a form would
#   /cgi-bin/two   shows what was kept; nothing after a reboot
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci \
  failover net_failover virtio_net virtio_blk; do
  insmod "/modules/$module.ko"
done
for word in $(cat /proc/cmdline); do
  case $word in lab.address=*) address=${word#*=} ;; esac
done
ip link set lo up
ip link set eth0 up
ip addr add "$address/24" dev eth0
boot=$(cat /proc/sys/kernel/random/boot_id)
mkdir -p /www/cgi-bin
printf '#!/bin/sh\nprintf %%s "$QUERY_STRING" >/kept\nprintf "Content-Type: text/plain\\r\\n\\r\\nkept\\n"\n' >/www/cgi-bin/one
printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\ncat /kept\n' >/www/cgi-bin/two
chmod +x /www/cgi-bin/one /www/cgi-bin/two
echo "$boot 0" >/www/index.html
httpd -h /www

# One record in each sector.  The end is looked for anew each time, past every cache: so a
# second writer's records are found among one's own instead of under them.
end=$(dd if=/dev/vda bs=64k iflag=direct 2>/dev/null | tr -d '\000' | wc -l)
count=0
while :; do
  count=$((count + 1))
  echo "$boot $count" >/www/new && mv /www/new /www/index.html
  while [ -n "$(dd if=/dev/vda bs=512 skip=$end count=1 iflag=direct 2>/dev/null | tr -d '\000')" ]; do
    end=$((end + 1))
  done
  printf '%s %s\n' "$boot" "$count" | dd of=/dev/vda bs=512 seek=$end count=1 conv=sync,notrunc oflag=direct 2>/dev/null
  sleep 1
done
