# Stands for the public Python image where no registry can be reached: Debian by debootstrap, see dev/images/base.py.
FROM scratch
ADD rootfs.tar /
CMD ["/bin/bash"]
