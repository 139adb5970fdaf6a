"""What the commands of aim-uptime print on a machine with two disks, or with many."""

UPTIME = "00:01:00 up 41 days, 3:20, 2 users, load average: 0.08, 0.03, 0.01\n"
DISK = (
    "Filesystem     1K-blocks     Used Available Use% Mounted on\n"
    "/dev/sda1       20511312 11274808   8171256  58% /\n"
    "/dev/sdb1      103081248 41233920  56588064  43% /var\n"
)
MANY_DISKS = DISK + "".join(
    f"/dev/mapper/volume-{n:<4} 103081248 41233920  56588064  43% /srv/volume-{n}\n"
    for n in range(40)
)
MANY_DISKS_FULL = MANY_DISKS.replace("43% /var", "95% /var")
