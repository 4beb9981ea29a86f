"""Sign-in: what is the portal's own around django-allauth, axes and sessions."""
